//! Why an event is not settled, and what would repair that.

use std::fmt::Display;

use serde::Serialize;
use uuid::Uuid;

/// An event without an outcome.
#[derive(Clone, Debug, Serialize)]
pub struct Waiting {
    /// The cause by its name; `None`: it was not tried yet.
    pub cause: Option<String>,
    /// The last error in words.
    pub last_error: Option<String>,
    /// Failed attempts so far.
    pub attempts: i32,
    /// When the next one is due.
    pub next_attempt_at: Option<String>,
    /// The same in the programme's time zone.
    #[serde(skip)]
    pub next_attempt: Option<String>,
    /// What would repair it.
    pub remedy: String,
}

impl Waiting {
    /// An event that no worker has tried yet.
    #[must_use]
    pub fn untried() -> Self {
        Self {
            cause: None,
            last_error: None,
            attempts: 0,
            next_attempt_at: None,
            next_attempt: None,
            remedy: "No worker has tried it yet. If that lasts, see whether workers run: a sweep \
                     finds what is older than ten seconds."
                .to_owned(),
        }
    }

    /// What would repair a failure of a sale of that kind (its source type), which is in that state.
    /// The causes are those of the worker's policy. Nothing revives what is discarded but a person.
    #[must_use]
    pub fn remedy(
        event_id: Uuid,
        state: &str,
        cause: &str,
        kind: impl Display,
        member_id: Uuid,
    ) -> String {
        match cause {
            _ if state == "discarded" => format!(
                "It is discarded: no repair of its cause revives it by itself. `lineage \
                 dead-letters retry {event_id}` brings it back."
            ),
            "unknown_member" => format!(
                "Enrol the member, with POST /v1/members or `lineage members import`; that revives \
                 the sale by itself. It waits under the id {member_id}."
            ),
            "no_plan" => format!(
                "Apply a plan for {kind} sales that is in force at the sale's moment (`lineage plan \
                 apply`); that revives the sale by itself."
            ),
            "no_rule" => "Apply a version of the plan with a rule that is valid at the sale's \
                          moment (`lineage plan apply`); that revives the sale by itself."
                .to_owned(),
            "ambiguous_rules" => "Apply a version of the plan whose rules differ in priority \
                                  (`lineage plan apply`); that revives the sale by itself."
                .to_owned(),
            "damaged_tree" => {
                "Run `lineage verify`: the tree above the seller contradicts itself. \
                               Once that is mended, `lineage dead-letters retry`."
                    .to_owned()
            }
            "damaged_data" => {
                "Look at the error: what is stored of the sale, or of those above the \
                               seller, cannot be read, or a newer version wrote it. Run `lineage \
                               verify`; once that is mended or the workers are up to date, \
                               `lineage dead-letters retry`."
                    .to_owned()
            }
            "rejected_by_database" => "Look at the error: the database refuses this outcome. Once \
                                       that is mended, `lineage dead-letters retry`."
                .to_owned(),
            "out_of_range" => "Nothing: the amounts are larger than the ledger can hold. `lineage \
                               dead-letters discard` with the reason, once the shop knows."
                .to_owned(),
            other => format!("This version of lineage knows no remedy for {other:?}."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_discarded_is_never_said_to_be_revived_by_a_repair() {
        let (event_id, member_id) = (Uuid::from_u128(0xe001), Uuid::from_u128(77));
        let remedy = |state, cause| Waiting::remedy(event_id, state, cause, "PRODUCT", member_id);
        for cause in ["unknown_member", "no_plan", "no_rule", "ambiguous_rules"] {
            for state in ["retrying", "dead"] {
                let words = remedy(state, cause);
                assert!(words.contains("that revives the sale by itself"), "{cause}: {words}");
            }
            assert_eq!(
                remedy("discarded", cause),
                "It is discarded: no repair of its cause revives it by itself. `lineage \
                 dead-letters retry 00000000-0000-0000-0000-00000000e001` brings it back."
            );
        }
    }
}
