//! Why an event is not settled, and what would repair that.

use domain::explain::Waiting;
use domain::period::Programme;
use store::events::EventDetail;

use domain::calendar;

/// Says why the event waits.
pub(super) fn of(event: &EventDetail, programme: &Programme) -> Waiting {
    let Some(failure) = &event.failure else {
        return Waiting {
            cause: None,
            last_error: None,
            attempts: 0,
            next_attempt_at: None,
            next_attempt: None,
            remedy: "No worker has tried it yet. If that lasts, see whether workers run: a sweep \
                     finds what is older than ten seconds."
                .to_owned(),
        };
    };
    let next = failure.next_attempt_at;
    Waiting {
        cause: Some(failure.cause.clone()),
        last_error: Some(failure.last_error.clone()),
        attempts: failure.attempts,
        next_attempt_at: next.map(calendar::rfc3339),
        next_attempt: next.map(|at| calendar::moment(programme, at)),
        remedy: remedy(&failure.cause, event),
    }
}

/// The causes are those of the worker's policy.
fn remedy(cause: &str, event: &EventDetail) -> String {
    let kind = event.facts.source_type;
    match cause {
        "unknown_member" => format!(
            "Enrol the member, with POST /v1/members or `lineage members import`; that revives the \
             sale by itself. It waits under the id {}.",
            event.facts.member_id
        ),
        "no_plan" => format!(
            "Apply a plan for {kind} sales that is in force at the sale's moment (`lineage plan \
             apply`); that revives the sale by itself."
        ),
        "no_rule" => "Apply a version of the plan with a rule that is valid at the sale's moment \
                      (`lineage plan apply`); that revives the sale by itself."
            .to_owned(),
        "ambiguous_rules" => {
            "Apply a version of the plan whose rules differ in priority (`lineage \
                              plan apply`); that revives the sale by itself."
                .to_owned()
        }
        "damaged_tree" => {
            "Run `lineage verify`: the tree above the seller contradicts itself.".to_owned()
        }
        "rejected_by_database" => {
            "Look at the error: the database refuses this outcome.".to_owned()
        }
        "out_of_range" => "Nothing: the amounts are larger than the ledger can hold.".to_owned(),
        other => format!("This version of lineage knows no remedy for {other:?}."),
    }
}
