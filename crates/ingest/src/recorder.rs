//! Recording events: idempotent, atomic per request, in one transaction for all requests given.
//!
//! ```text
//! begin · clock · [resolve external ids] · insert … on conflict do nothing
//!   └─ all new ──────────────▶ commit
//!   └─ some recorded before ─▶ compare their facts ─ same ──▶ commit, "duplicate"
//!                                                  └ other ─▶ roll back, each request alone; 409
//! ```

mod differences;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::NaiveDate;
use domain::period::Programme;
use domain::sale::Moment;
use store::events::{self, Facts, NewEvent};
use store::failpoints::{self, Sabotage};
use store::locks::{self, Lock};
use store::{PgConnection, PgPool, StoreError, ledger, programme};
use uuid::Uuid;

use self::differences::Difference;
use crate::event_requests::{CheckedSale, MemberName};
use crate::post_events::{Recorded, RecordedStatus};
use crate::problem::Problem;
use crate::publisher;

/// How often a transaction is repeated that others got in the way of.
const REPEATS_MAX: usize = 5;

type Answer = Result<Vec<Recorded>, Problem>;

/// Records events. Each committer has its own.
#[derive(Clone)]
pub(crate) struct Recorder {
    pool: PgPool,
    publisher: publisher::Handle,
    /// The calendar, once there are events and it can no longer change.
    fixed_programme: Option<Programme>,
    /// Periods that the ledger has a partition for.
    periods: HashSet<NaiveDate>,
}

/// How an attempt at several requests ended.
enum Attempt {
    /// Committed: an answer for each.
    Done(Vec<Answer>),
    /// Rolled back: at least one contradicts what is recorded, or another of them.
    Contradiction(Vec<Option<Problem>>),
    /// Rolled back: these periods have no partition yet.
    NewPeriods(BTreeSet<NaiveDate>),
}

impl Recorder {
    pub(crate) fn new(pool: PgPool, publisher: publisher::Handle) -> Self {
        Self { pool, publisher, fixed_programme: None, periods: HashSet::new() }
    }

    /// Records the requests in one transaction if they agree with what is recorded and with one
    /// another, else each in its own. Returns an answer for each.
    pub(crate) async fn record(&mut self, requests: &[Vec<CheckedSale>]) -> Vec<Answer> {
        match self.record_together(requests).await {
            Ok(Some(answers)) => answers,
            Ok(None) => self.record_one_by_one(requests).await,
            Err(error) if error.is_about_data() && requests.len() > 1 => {
                self.record_one_by_one(requests).await
            }
            Err(error) => {
                let problem = Problem::from(error);
                requests.iter().map(|_| Err(problem.clone())).collect()
            }
        }
    }

    async fn record_one_by_one(&mut self, requests: &[Vec<CheckedSale>]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            let alone = self.record_together(std::slice::from_ref(request)).await;
            answers.push(match alone {
                Ok(Some(mut answer)) if answer.len() == 1 => answer.remove(0),
                Ok(_) => {
                    Err(Problem::unavailable("others kept changing the same events; try again"))
                }
                Err(error) => Err(Problem::from(error)),
            });
        }
        answers
    }

    /// `None`: several requests, of which one contradicts; each must go alone.
    async fn record_together(
        &mut self,
        requests: &[Vec<CheckedSale>],
    ) -> Result<Option<Vec<Answer>>, StoreError> {
        for _ in 0..REPEATS_MAX {
            match self.attempt(requests).await {
                Ok(Attempt::Done(answers)) => return Ok(Some(answers)),
                Ok(Attempt::Contradiction(mut problems)) if requests.len() == 1 => {
                    let problem = problems.pop().flatten();
                    let problem = problem.unwrap_or_else(|| Problem::unavailable("try again"));
                    return Ok(Some(vec![Err(problem)]));
                }
                Ok(Attempt::Contradiction(_)) => return Ok(None),
                Ok(Attempt::NewPeriods(periods)) => self.make_partitions(periods).await?,
                Err(error) if error.is_transient_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn make_partitions(&mut self, periods: BTreeSet<NaiveDate>) -> Result<(), StoreError> {
        let mut conn = self.pool.acquire().await?;
        for period in periods {
            ledger::ensure_partition(&mut conn, period).await?;
            self.periods.insert(period);
        }
        Ok(())
    }

    async fn attempt(&mut self, requests: &[Vec<CheckedSale>]) -> Result<Attempt, StoreError> {
        let mut tx = self.pool.begin().await?;
        let calendar = if let Some(fixed) = &self.fixed_programme {
            fixed.clone()
        } else {
            locks::share(&mut tx, Lock::Programme).await?;
            programme::get(&mut tx).await?
        };
        let prepared = prepare(&mut tx, requests, &calendar).await?;
        let events = prepared.iter().flatten().flatten();
        let new_periods: BTreeSet<NaiveDate> = events
            .map(|event| event.earned_period)
            .filter(|period| !self.periods.contains(period))
            .collect();
        if !new_periods.is_empty() {
            tx.rollback().await?;
            return Ok(Attempt::NewPeriods(new_periods));
        }

        let (distinct, mut problems) = distinct_events(requests, &prepared);
        let mut contradiction = problems.iter().any(Option::is_some);
        let sorted: Vec<&NewEvent> = distinct.values().copied().collect();
        if failpoints::is_sabotaged(Sabotage::PublishBeforeInsert) {
            self.publisher.ring(distinct.keys().copied().collect());
        }
        let inserted: HashSet<Uuid> = if sorted.is_empty() || contradiction {
            HashSet::new()
        } else {
            events::record(&mut tx, &sorted).await?.into_iter().collect()
        };
        if !contradiction && inserted.len() < sorted.len() {
            let before: Vec<&NewEvent> =
                sorted.into_iter().filter(|event| !inserted.contains(&event.id)).collect();
            let differences = differences::from_recorded(&mut tx, &before).await?;
            contradiction = !differences.is_empty();
            name_contradictions(requests, &differences, &mut problems);
        }
        if contradiction {
            tx.rollback().await?;
            return Ok(Attempt::Contradiction(problems));
        }
        tx.commit().await?;
        if !inserted.is_empty() {
            self.fixed_programme = Some(calendar);
        }
        self.publisher.ring(inserted.iter().copied().collect());
        Ok(Attempt::Done(answers(prepared, inserted)))
    }
}

/// Looks up members and moments. Per request: its events, or why it cannot be recorded.
async fn prepare(
    conn: &mut PgConnection,
    requests: &[Vec<CheckedSale>],
    calendar: &Programme,
) -> Result<Vec<Result<Vec<NewEvent>, Problem>>, StoreError> {
    let external_ids: BTreeSet<String> = requests
        .iter()
        .flatten()
        .filter_map(|sale| match &sale.member {
            MemberName::ExternalId(external_id) => Some(external_id.clone()),
            MemberName::Id(_) => None,
        })
        .collect();
    let mut members: HashMap<String, Uuid> = HashMap::new();
    if !external_ids.is_empty() {
        let external_ids: Vec<String> = external_ids.into_iter().collect();
        members.extend(events::resolve_members(conn, &external_ids).await?);
    }
    let recorded_at = events::clock(conn).await?;
    let prepare_one = |sale: &CheckedSale| {
        let moment = Moment::of(sale.occurred_at, recorded_at, calendar).map_err(|error| {
            Problem::invalid(
                format!("{}/occurred_at", sale.pointer),
                format!("occurred_at {error}"),
            )
        })?;
        let member_id = match &sale.member {
            MemberName::Id(id) => *id,
            MemberName::ExternalId(name) => members.get(name).copied().unwrap_or_default(),
        };
        Ok(NewEvent {
            id: sale.event_id,
            source: sale.source.clone(),
            external_id: sale.external_id.clone(),
            facts: Facts {
                member_id,
                occurred_at: sale.occurred_at,
                source_type: sale.source_type,
                currency: sale.currency,
                amount: sale.amount,
                volume: sale.volume,
                product_id: sale.product_id.clone(),
                order_kind: sale.order_kind,
                market: sale.market.clone(),
                buyer_type: sale.buyer_type,
                lines: sale.lines.clone(),
            },
            details: sale.details.clone(),
            recorded_at,
            earned_period: moment.period.first_day(),
        })
    };
    Ok(requests.iter().map(|request| request.iter().map(prepare_one).collect()).collect())
}

/// The events of all requests, each id once, sorted by id; and for each request whether it gives
/// an id facts that differ from those that the same id has elsewhere among them.
fn distinct_events<'a>(
    requests: &[Vec<CheckedSale>],
    prepared: &'a [Result<Vec<NewEvent>, Problem>],
) -> (BTreeMap<Uuid, &'a NewEvent>, Vec<Option<Problem>>) {
    let mut distinct: BTreeMap<Uuid, &NewEvent> = BTreeMap::new();
    let mut problems = vec![None; requests.len()];
    for (number, events) in prepared.iter().enumerate() {
        for (place, event) in events.iter().flatten().enumerate() {
            let first = distinct.entry(event.id).or_insert(event);
            if first.facts != event.facts {
                let sale = &requests[number][place];
                let detail = format!(
                    "event {}/{} stands in this request twice, with different facts",
                    sale.source, sale.external_id
                );
                problems[number] = Some(Problem::conflict(format!("{}/id", sale.pointer), detail));
            }
        }
    }
    (distinct, problems)
}

fn name_contradictions(
    requests: &[Vec<CheckedSale>],
    differences: &HashMap<Uuid, Difference>,
    problems: &mut [Option<Problem>],
) {
    for (request, problem) in requests.iter().zip(problems) {
        let contradicting =
            request.iter().find_map(|sale| Some((sale, differences.get(&sale.event_id)?)));
        if let Some((sale, Difference { pointer, detail })) = contradicting {
            let detail = format!(
                "event {}/{} is recorded already with {detail}; a correction needs an id of \
                 its own",
                sale.source, sale.external_id
            );
            *problem = Some(Problem::conflict(format!("{}{pointer}", sale.pointer), detail));
        }
    }
}

/// An answer for each request. An event that several of them hold is new for the first only.
fn answers(
    prepared: Vec<Result<Vec<NewEvent>, Problem>>,
    mut inserted: HashSet<Uuid>,
) -> Vec<Answer> {
    let mut status = |event_id: Uuid| {
        if inserted.remove(&event_id) {
            RecordedStatus::Accepted
        } else {
            RecordedStatus::Duplicate
        }
    };
    let mut recorded = |event: NewEvent| Recorded { event_id: event.id, status: status(event.id) };
    prepared
        .into_iter()
        .map(|events| events.map(|events| events.into_iter().map(&mut recorded).collect()))
        .collect()
}
