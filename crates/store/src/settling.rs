//! Settlement's four statements.
//!
//! Per micro-batch, whatever its size, in one transaction of the caller:
//!
//! 1. [`read`]: facts and upline as of each event's moment, then statuses and ranks (two queries)
//! 2. [`claim`]: one insert of the outcomes; what it returns is ours to pay
//! 3. [`write_lines`]: one COPY of the ledger lines of what was claimed (two round trips), or one
//!    insert when they are few
//!
//! With `begin` and the shared `history` lock, which go together, and `commit` that makes seven
//! round trips, six for few lines.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use domain::amount::Amount;
use domain::inputs::{Inputs, Visit};
use domain::ladder::Rank;
use domain::member::MemberStatus;
use domain::sale::Sale;
use domain::settle::{Line, SEMANTICS_VERSION};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;
use crate::copy::{Rows, copy_in};

/// An event without an outcome, and what its settlement needs.
#[derive(Clone, Debug)]
pub struct Unsettled {
    /// The facts.
    pub sale: Sale,
    /// The member id that the event carries.
    pub credited_member_id: Uuid,
    /// Seller and upline as of the sale.
    pub walk: Walk,
    /// When it was recorded, by PostgreSQL's clock.
    pub recorded_at: DateTime<Utc>,
    /// Failed attempts so far.
    pub attempts: i32,
}

/// Seller and upline of one event.
#[derive(Clone, Debug)]
pub enum Walk {
    /// As they stood.
    Found(Inputs),
    /// Nobody is enrolled under the credited id.
    NotEnrolled,
    /// The stored tree contradicts itself above this seller.
    Damaged(String),
}

/// A batch as read, with the generation of rules that was in force in the same snapshot.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Events to settle. Those that are settled, dead, not due or unknown are left out.
    pub events: Vec<Unsettled>,
    /// The rules' generation; differs from the cached one when rules were added.
    pub generation: i32,
    /// PostgreSQL's clock.
    pub read_at: DateTime<Utc>,
}

/// Reads a batch of distinct events. Visits at most `walk_depth` ancestors each.
///
/// Two queries: facts with the ids above each seller, then status, rank and since when they hold of
/// every member met, each once, because uplines of one batch share most of their members. Sales
/// older than the last change in their upline need more, which walk history (law L8). The `history`
/// lock, which the caller shares, keeps all of them consistent.
///
/// Nested `lateral … offset 0` keep the planner from scanning whole tables to join a few rows.
pub async fn read(
    conn: &mut PgConnection,
    event_ids: &[Uuid],
    walk_depth: u8,
) -> Result<Batch, StoreError> {
    let rows = sqlx::query!(
        r#"
        select e.id, e.member_id as credited_member_id, e.amount, e.volume, e.currency,
               e.source_type::text as "source_type!", e.product_id,
               e.as_of, e.recorded_at, e.earned_period,
               coalesce(f.attempts, 0) as "attempts!",
               coalesce(seller.id, referred.id) as "seller_id?",
               walk.ids as "ids: Vec<Uuid>", walk.depths as "depths: Vec<i16>",
               coalesce((select max(id) from commission_plans), 0) as "generation!",
               clock_timestamp() as "read_at!"
          from unnest($1::uuid[]) as batch (event_id)
         cross join lateral (
               select * from events where id = batch.event_id offset 0) e
          left join lateral (
               select event_id from commission_outcomes where event_id = e.id limit 1) o on true
          left join lateral (
               select * from event_failures where event_id = e.id limit 1) f on true
          left join lateral (
               select id from members where id = e.member_id offset 0) seller on true
          left join lateral (
               select m.id
                 from member_references r
                 join members m on m.external_id = r.external_id
                where seller.id is null and r.id = e.member_id
               offset 0) referred on true
          left join lateral (
               select array_agg(p.ancestor_id) as ids, array_agg(p.depth) as depths
                 from member_tree_paths p
                where p.descendant_id = coalesce(seller.id, referred.id)
                  and p.depth <= $2::integer) walk on true
         where o.event_id is null
           and (f.event_id is null or (f.state = 'retrying' and f.next_attempt_at <= now()))
        "#,
        event_ids,
        i32::from(walk_depth),
    )
    .fetch_all(&mut *conn)
    .await?;
    let Some(first) = rows.first() else { return Ok(Batch::default()) };
    let (generation, read_at) = (first.generation, first.read_at);
    let mut paths: Vec<Path> = rows
        .iter()
        .map(|row| {
            let closure = (row.ids.as_deref().unwrap_or(&[]), row.depths.as_deref().unwrap_or(&[]));
            Path::of_closure(row.seller_id, row.as_of, closure)
        })
        .collect();
    let states = States::read(conn, &mut paths, walk_depth).await?;

    let mut events = Vec::with_capacity(rows.len());
    for (row, path) in rows.into_iter().zip(paths) {
        events.push(Unsettled {
            sale: Sale {
                event_id: row.id,
                amount: stored_amount(row.amount)?,
                volume: stored_amount(row.volume)?,
                currency: row.currency.parse().map_err(StoreError::damaged)?,
                source_type: row.source_type.parse().map_err(StoreError::damaged)?,
                product_id: row.product_id,
                as_of: row.as_of,
                earned_period: domain::period::Period::containing(row.earned_period),
            },
            credited_member_id: row.credited_member_id,
            walk: path.walk(&states),
            recorded_at: row.recorded_at,
            attempts: row.attempts,
        });
    }
    Ok(Batch { events, generation, read_at })
}

/// The ids on the way up from one event's seller.
struct Path {
    seller_id: Option<Uuid>,
    as_of: DateTime<Utc>,
    /// The seller first, in the order of the walk; empty when the closure has a gap.
    ids: Vec<Uuid>,
}

impl Path {
    /// Puts rows of the closure in their order.
    fn of_closure(seller_id: Option<Uuid>, as_of: DateTime<Utc>, rows: (&[Uuid], &[i16])) -> Self {
        let mut steps: Vec<(i16, Uuid)> =
            rows.1.iter().copied().zip(rows.0.iter().copied()).collect();
        steps.sort_unstable_by_key(|(depth, _)| *depth);
        let gapless = (0..).zip(&steps).all(|(place, (depth, _))| place == *depth);
        let ids = steps.into_iter().filter(|_| gapless).map(|(_, id)| id).collect();
        Self { seller_id, as_of, ids }
    }

    /// Whether somebody on the way got their sponsor after the sale, so that the way was another.
    /// Who sponsors the last one of a full walk does not matter.
    fn is_younger_than_the_sale(&self, states: &States, walk_depth: u8) -> bool {
        let mut sponsored = self.ids.iter().take(usize::from(walk_depth));
        sponsored.any(|id| {
            let since = states.find(*id).and_then(|present| present.sponsor_since);
            since.is_some_and(|since| self.as_of < since)
        })
    }

    /// Everybody on the way as they stood.
    fn walk(&self, states: &States) -> Walk {
        let Some(seller_id) = self.seller_id else { return Walk::NotEnrolled };
        let visits: Option<Vec<Visit>> =
            self.ids.iter().map(|id| states.visit(*id, self.as_of)).collect();
        let mut visits = visits.into_iter().flatten();
        match visits.next() {
            Some(seller) => Walk::Found(Inputs { seller, upline: visits.collect() }),
            None => Walk::Damaged(format!(
                "the tree has a gap above member {seller_id}; run `lineage verify`"
            )),
        }
    }
}

/// The seller and everybody above as they stood at a moment, by the sponsor history.
async fn past_path(
    conn: &mut PgConnection,
    seller_id: Uuid,
    as_of: DateTime<Utc>,
    walk_depth: u8,
) -> Result<Vec<Uuid>, StoreError> {
    let above = sqlx::query_scalar!(
        r#"select ancestor_id as "id!" from upline_as_of($1, $2, $3) order by depth"#,
        seller_id,
        as_of,
        i32::from(walk_depth),
    )
    .fetch_all(conn)
    .await?;
    Ok(std::iter::once(seller_id).chain(above).collect())
}

/// Status and rank of the members that a batch meets.
#[derive(Default)]
struct States {
    /// As they are, sorted by id.
    present: Vec<Present>,
    /// As they were at moments before the last change.
    past: HashMap<(Uuid, DateTime<Utc>), Visit>,
}

/// A member as they are, and since when: `None` is the beginning of time.
#[derive(Clone, Copy)]
struct Present {
    visit: Visit,
    state_since: Option<DateTime<Utc>>,
    sponsor_since: Option<DateTime<Utc>>,
}

impl States {
    /// Reads the states of all members on all paths, and replaces the paths that are younger than
    /// their sale by those that held.
    async fn read(
        conn: &mut PgConnection,
        paths: &mut [Path],
        walk_depth: u8,
    ) -> Result<Self, StoreError> {
        let mut states = Self::default();
        states.read_present(conn, paths).await?;
        let mut met_others = false;
        for path in paths.iter_mut() {
            if let Some(seller_id) = path.seller_id
                && path.is_younger_than_the_sale(&states, walk_depth)
            {
                path.ids = past_path(conn, seller_id, path.as_of, walk_depth).await?;
                met_others = true;
            }
        }
        if met_others {
            states.read_present(conn, paths).await?;
        }
        let changed_since: Vec<(Uuid, DateTime<Utc>)> = paths
            .iter()
            .flat_map(|path| path.ids.iter().map(|id| (*id, path.as_of)))
            .filter(|(id, as_of)| {
                let since = states.find(*id).and_then(|present| present.state_since);
                since.is_some_and(|since| *as_of < since)
            })
            .collect();
        if !changed_since.is_empty() {
            states.read_past(conn, changed_since).await?;
        }
        Ok(states)
    }

    /// Reads members as they are, those whom it does not know yet.
    async fn read_present(
        &mut self,
        conn: &mut PgConnection,
        paths: &[Path],
    ) -> Result<(), StoreError> {
        let mut ids: Vec<Uuid> = paths.iter().flat_map(|path| &path.ids).copied().collect();
        // In the index's order neighbours share pages.
        ids.sort_unstable();
        ids.dedup();
        ids.retain(|id| self.find(*id).is_none());
        // One row of arrays: thousands of small rows would cost more than looking them up.
        let found = sqlx::query!(
            r#"
            select coalesce(array_agg(m.id), '{}') as "ids!",
                   coalesce(array_agg(m.rank), '{}') as "ranks!",
                   coalesce(array_agg(m.status::text), '{}') as "statuses!",
                   coalesce(array_agg(nullif(m.state_since, '-infinity')), '{}')
                     as "state_since!: Vec<Option<DateTime<Utc>>>",
                   coalesce(array_agg(nullif(m.sponsor_since, '-infinity')), '{}')
                     as "sponsor_since!: Vec<Option<DateTime<Utc>>>"
              from unnest($1::uuid[]) as wanted (id)
             cross join lateral (
                   select id, rank, status, state_since, sponsor_since
                     from members where id = wanted.id offset 0) m
            "#,
            &ids,
        )
        .fetch_one(&mut *conn)
        .await?;
        self.present.reserve(found.ids.len());
        for (place, id) in found.ids.iter().enumerate() {
            self.present.push(Present {
                visit: visit(*id, found.ranks[place], &found.statuses[place])?,
                state_since: found.state_since[place],
                sponsor_since: found.sponsor_since[place],
            });
        }
        self.present.sort_unstable_by_key(|present| present.visit.member_id);
        Ok(())
    }

    async fn read_past(
        &mut self,
        conn: &mut PgConnection,
        wanted: Vec<(Uuid, DateTime<Utc>)>,
    ) -> Result<(), StoreError> {
        let (ids, moments): (Vec<Uuid>, Vec<DateTime<Utc>>) = wanted.into_iter().unzip();
        let rows = sqlx::query!(
            r#"
            select wanted.member_id as "member_id!", wanted.as_of as "as_of!",
                   h.rank, h.status::text as "status!"
              from unnest($1::uuid[], $2::timestamptz[]) as wanted (member_id, as_of)
             cross join lateral (
                   select rank, status from member_states
                    where member_id = wanted.member_id and effective_at <= wanted.as_of
                    order by effective_at desc limit 1) h
            "#,
            &ids,
            &moments,
        )
        .fetch_all(conn)
        .await?;
        for row in rows {
            let was = visit(row.member_id, row.rank, &row.status)?;
            self.past.insert((row.member_id, row.as_of), was);
        }
        Ok(())
    }

    /// The member as of a moment.
    fn visit(&self, id: Uuid, as_of: DateTime<Utc>) -> Option<Visit> {
        let present = self.find(id)?;
        match present.state_since {
            Some(since) if as_of < since => self.past.get(&(id, as_of)).copied(),
            _ => Some(present.visit),
        }
    }

    /// The member now.
    fn find(&self, id: Uuid) -> Option<Present> {
        let place = self.present.binary_search_by_key(&id, |known| known.visit.member_id).ok()?;
        self.present.get(place).copied()
    }
}

fn visit(id: Uuid, rank: i16, status: &str) -> Result<Visit, StoreError> {
    Ok(Visit {
        member_id: id,
        rank: Rank(u8::try_from(rank).map_err(StoreError::damaged)?),
        status: status.parse::<MemberStatus>().map_err(StoreError::damaged)?,
    })
}

pub(crate) fn stored_amount(value: Decimal) -> Result<Amount, StoreError> {
    Amount::from_decimal(value).map_err(StoreError::damaged)
}

/// Which of these events are settled.
pub async fn settled_among(
    conn: &mut PgConnection,
    event_ids: &[Uuid],
) -> Result<Vec<Uuid>, StoreError> {
    let settled = sqlx::query_scalar!(
        "select event_id from commission_outcomes where event_id = any($1)",
        event_ids
    );
    Ok(settled.fetch_all(conn).await?)
}

/// What one event was computed to, ready to be written.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The event.
    pub event_id: Uuid,
    /// The number of the plan version.
    pub plan_number: i32,
    /// What nobody qualified for.
    pub breakage: Amount,
    /// The packed inputs.
    pub inputs: Vec<u8>,
    /// What is paid.
    pub lines: Vec<LedgerLine>,
}

/// One line, with the numbers by which the ledger knows rule and period.
#[derive(Clone, Debug)]
pub struct LedgerLine {
    /// The line as computed.
    pub line: Line,
    /// The rule's number.
    pub rule_number: i32,
    /// The sale's currency.
    pub currency: domain::sale::Currency,
    /// The period that it is earned in.
    pub earned_period: NaiveDate,
    /// The period that it is posted to.
    pub posted_period: NaiveDate,
}

/// Claims events by inserting their outcomes, which must be sorted by event id so that workers
/// never wait for one another in a circle. Returns the ids that are ours: for those, and only
/// those, lines may be written (law L1).
pub async fn claim(conn: &mut PgConnection, outcomes: &[Outcome]) -> Result<Vec<Uuid>, StoreError> {
    let event_ids: Vec<Uuid> = outcomes.iter().map(|outcome| outcome.event_id).collect();
    let plans: Vec<i32> = outcomes.iter().map(|outcome| outcome.plan_number).collect();
    let lines: Vec<i16> = outcomes
        .iter()
        .map(|outcome| i16::try_from(outcome.lines.len()).map_err(StoreError::damaged))
        .collect::<Result<_, _>>()?;
    let breakage: Vec<Decimal> =
        outcomes.iter().map(|outcome| outcome.breakage.to_decimal()).collect();
    let inputs: Vec<&[u8]> = outcomes.iter().map(|outcome| outcome.inputs.as_slice()).collect();
    let claimed = sqlx::query_scalar!(
        r#"
        insert into commission_outcomes (event_id, plan_id, semantics, lines, breakage, inputs)
        select event_id, plan_id, $2, lines, breakage, inputs
          from unnest($1::uuid[], $3::integer[], $4::smallint[], $5::numeric[], $6::bytea[])
            as outcome (event_id, plan_id, lines, breakage, inputs)
        on conflict do nothing
        returning event_id
        "#,
        &event_ids,
        SEMANTICS_VERSION,
        &plans,
        &lines,
        &breakage,
        &inputs as &[&[u8]],
    )
    .fetch_all(conn)
    .await?;
    Ok(claimed)
}

/// Lines from which COPY is worth its second round trip. sqlx leaves Nagle's algorithm on, so the
/// small message that ends a COPY of little data waits some 40 ms for an acknowledgement; data of
/// this size and more is acknowledged while it is sent.
const COPY_LINES_MIN: usize = 2_000;

/// Writes the lines of these outcomes, in their order.
pub async fn write_lines<'a>(
    conn: &mut PgConnection,
    outcomes: impl Iterator<Item = &'a Outcome> + Clone,
) -> Result<u64, StoreError> {
    let count: usize = outcomes.clone().map(|outcome| outcome.lines.len()).sum();
    match count {
        0 => Ok(0),
        1..COPY_LINES_MIN => insert_lines(conn, outcomes).await,
        _ => {
            let mut rows = Rows::default();
            for outcome in outcomes {
                for (number, line) in outcome.lines.iter().enumerate() {
                    let number = i16::try_from(number).map_err(StoreError::damaged)?;
                    write_line(&mut rows, outcome.event_id, number, line);
                }
            }
            copy_in(conn, COPY_LINES, rows).await
        }
    }
}

/// A few lines, in one round trip.
async fn insert_lines<'a>(
    conn: &mut PgConnection,
    outcomes: impl Iterator<Item = &'a Outcome> + Clone,
) -> Result<u64, StoreError> {
    let lines = || {
        outcomes.clone().flat_map(|outcome| {
            (0_i16..).zip(&outcome.lines).map(|(number, line)| (outcome.event_id, number, line))
        })
    };
    let event_ids: Vec<Uuid> = lines().map(|(event_id, ..)| event_id).collect();
    let numbers: Vec<i16> = lines().map(|(_, number, _)| number).collect();
    let members: Vec<Uuid> = lines().map(|(.., entry)| entry.line.member_id).collect();
    let earned: Vec<NaiveDate> = lines().map(|(.., entry)| entry.earned_period).collect();
    let posted: Vec<NaiveDate> = lines().map(|(.., entry)| entry.posted_period).collect();
    let rules: Vec<i32> = lines().map(|(.., entry)| entry.rule_number).collect();
    let levels: Vec<i16> = lines().map(|(.., entry)| i16::from(entry.line.level)).collect();
    let depths: Vec<i16> = lines().map(|(.., entry)| i16::from(entry.line.depth)).collect();
    let currencies: Vec<&str> = lines().map(|(.., entry)| entry.currency.code()).collect();
    let amounts: Vec<Decimal> = lines().map(|(.., entry)| entry.line.amount.to_decimal()).collect();
    let points: Vec<Decimal> =
        lines().map(|(.., entry)| entry.line.career_points.to_decimal()).collect();
    let done = sqlx::query!(
        r#"
        insert into commission_ledger (event_id, member_id, earned_period, posted_period, rule_id,
                                       entry_type, line, level, depth, currency, amount,
                                       career_points)
        select event_id, member_id, earned_period, posted_period, rule_id, 'LEVEL_COMMISSION',
               line, level, depth, currency, amount, career_points
          from unnest($1::uuid[], $2::uuid[], $3::date[], $4::date[], $5::integer[],
                      $6::smallint[], $7::smallint[], $8::smallint[], $9::text[],
                      $10::numeric[], $11::numeric[])
            as line (event_id, member_id, earned_period, posted_period, rule_id, line, level,
                     depth, currency, amount, career_points)
        "#,
        &event_ids,
        &members,
        &earned,
        &posted,
        &rules,
        &numbers,
        &levels,
        &depths,
        &currencies as &[&str],
        &amounts,
        &points,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

pub(crate) const COPY_LINES: &str = "copy commission_ledger (event_id, member_id, earned_period, \
    posted_period, rule_id, entry_type, line, level, depth, currency, amount, career_points) \
    from stdin (format binary)";

pub(crate) fn write_line(rows: &mut Rows, event_id: Uuid, number: i16, entry: &LedgerLine) {
    rows.begin(12)
        .uuid(event_id)
        .uuid(entry.line.member_id)
        .date(entry.earned_period)
        .date(entry.posted_period)
        .integer(entry.rule_number)
        .text("LEVEL_COMMISSION")
        .smallint(number)
        .smallint(i16::from(entry.line.level))
        .smallint(i16::from(entry.line.depth))
        .text(entry.currency.code())
        .amount(entry.line.amount)
        .amount(entry.line.career_points);
}
