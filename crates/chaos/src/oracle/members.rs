//! Enrolments and changes: each that was acknowledged is there once, with who and why.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::findings::Findings;
use super::promise::{CHANGED, ENROLLED, PRESENT};
use crate::evidence::{Changed, Evidence};
use crate::reference::history::{History, Network};

/// Evidence that is looked up at a time.
const PAGE: usize = 1_000;

pub(super) async fn check(
    conn: &mut PgConnection,
    evidence: &Evidence,
    network: &Network,
    findings: &mut Findings,
) -> sqlx::Result<()> {
    enrolments(conn, evidence, network, findings).await?;
    for page in evidence.changed.chunks(PAGE) {
        changes(conn, page, network, findings).await?;
    }
    present(conn, network, findings).await
}

async fn enrolments(
    conn: &mut PgConnection,
    evidence: &Evidence,
    network: &Network,
    findings: &mut Findings,
) -> sqlx::Result<()> {
    for enrolled in &evidence.enrolled {
        let id = enrolled.member_id;
        let Some(history) = network.members.get(&id) else {
            findings.add(ENROLLED, format!("member {id} was enrolled and is not there"));
            continue;
        };
        let first = history.sponsors.first().map(|(since, sponsor_id)| (*since, *sponsor_id));
        if first != Some((None, enrolled.sponsor_id)) {
            let asked = enrolled.sponsor_id;
            let detail = format!("member {id} was enrolled under {asked:?}, recorded: {first:?}");
            findings.add(ENROLLED, detail);
        }
        if history.states.first().is_none_or(|(since, _)| since.is_some()) {
            findings.add(ENROLLED, format!("member {id} has no state from the beginning of time"));
        }
    }
    let nameless: Vec<Uuid> = sqlx::query_scalar(
        "select id from members m
          where not exists (select from member_sponsors s where s.member_id = m.id
                             and s.effective_at = '-infinity' and s.actor <> '' and s.reason <> '')
             or not exists (select from member_states s where s.member_id = m.id
                             and s.effective_at = '-infinity' and s.actor <> '' and s.reason <> '')
          order by id limit 100",
    )
    .fetch_all(&mut *conn)
    .await?;
    for id in nameless {
        findings.add(ENROLLED, format!("member {id}: no first row of history says who and why"));
    }
    Ok(())
}

/// A row of the record of changes.
#[derive(sqlx::FromRow)]
struct Recorded {
    reason: String,
    kind: String,
    member_id: Uuid,
    effective_at: DateTime<Utc>,
    new_sponsor_id: Option<Uuid>,
    new_status: Option<String>,
    new_rank: Option<i16>,
    actor: String,
}

async fn changes(
    conn: &mut PgConnection,
    page: &[Changed],
    network: &Network,
    findings: &mut Findings,
) -> sqlx::Result<()> {
    let reasons: Vec<&str> = page.iter().map(|changed| &*changed.reason).collect();
    let rows: Vec<Recorded> = sqlx::query_as(
        "select reason, kind, member_id, effective_at, new_sponsor_id, new_status::text, new_rank, \
                actor \
           from member_changes where reason = any($1) and refusal is null",
    )
    .bind(&reasons)
    .fetch_all(&mut *conn)
    .await?;
    let dated: Vec<(String, i64)> = sqlx::query_as(
        "select reason, count(*) from (
           select reason from member_sponsors where reason = any($1)
           union all select reason from member_states where reason = any($1)) rows
          group by reason",
    )
    .bind(&reasons)
    .fetch_all(&mut *conn)
    .await?;
    let dated: HashMap<String, i64> = dated.into_iter().collect();
    let mut recorded: HashMap<&str, Vec<&Recorded>> = HashMap::new();
    for row in &rows {
        recorded.entry(&row.reason).or_default().push(row);
    }
    for changed in page {
        let Changed { member_id, reason, .. } = changed;
        let in_record = recorded.get(&**reason).map_or(&[][..], Vec::as_slice);
        let in_history = dated.get(reason).copied().unwrap_or(0);
        if in_record.len() != 1 || in_history != 1 {
            let times = in_record.len();
            let detail = format!(
                "the change of {member_id} for {reason:?} is recorded {times} times, and \
                 {in_history} times in history"
            );
            findings.add(CHANGED, detail);
        } else if let Some(difference) = differs(changed, in_record[0], network) {
            findings
                .add(CHANGED, format!("the change of {member_id} for {reason:?}: {difference}"));
        }
    }
    Ok(())
}

/// How a recorded change differs from what was asked for, or history from its record.
fn differs(asked: &Changed, recorded: &Recorded, network: &Network) -> Option<String> {
    if recorded.member_id != asked.member_id {
        return Some(format!("recorded of {}", recorded.member_id));
    }
    if !recorded.actor.starts_with("key:") && !recorded.actor.starts_with("role:") {
        return Some(format!("recorded as of {:?}", recorded.actor));
    }
    let none = History::default();
    let history = network.members.get(&asked.member_id).unwrap_or(&none);
    let since = Some(recorded.effective_at);
    if asked.new_sponsor_id.is_some() {
        let row = (since, recorded.new_sponsor_id);
        return (recorded.kind != "MOVE"
            || recorded.new_sponsor_id != asked.new_sponsor_id
            || !history.sponsors.contains(&row))
        .then(|| format!("asked for {:?}, recorded {row:?}", asked.new_sponsor_id));
    }
    let state = (recorded.new_status.clone().unwrap_or_default(), recorded.new_rank.unwrap_or(-1));
    let is_asked = asked.status.as_ref().is_none_or(|status| *status == state.0);
    let row = (since, state);
    (recorded.kind != "STATE" || !is_asked || !history.states.contains(&row))
        .then(|| format!("asked for {:?}, recorded {row:?}", asked.status))
}

/// A member's present: sponsor, since when, status, rank, since when. `None` is ever.
type Present = (Uuid, Option<Uuid>, Option<DateTime<Utc>>, String, i16, Option<DateTime<Utc>>);

/// `members` holds what the last row of each history says, and every history row has a member and,
/// unless it is the first, a record of who changed it.
async fn present(
    conn: &mut PgConnection,
    network: &Network,
    findings: &mut Findings,
) -> sqlx::Result<()> {
    let mut after = Uuid::nil();
    loop {
        let page: Vec<Present> = sqlx::query_as(
            "select id, sponsor_id, case when isfinite(sponsor_since) then sponsor_since end, \
                    status::text, rank, case when isfinite(state_since) then state_since end \
               from members where id > $1 order by id limit 1000",
        )
        .bind(after)
        .fetch_all(&mut *conn)
        .await?;
        let Some(last) = page.last() else { break };
        after = last.0;
        for (id, sponsor_id, sponsor_since, status, rank, state_since) in page {
            let Some(history) = network.members.get(&id) else { continue };
            let sponsor = (sponsor_since, sponsor_id);
            if history.sponsors.last() != Some(&sponsor) {
                let says = history.sponsors.last();
                findings.add(PRESENT, format!("sponsor of {id}: {sponsor:?}, history: {says:?}"));
            }
            let state = (state_since, (status, rank));
            if history.states.last() != Some(&state) {
                let says = history.states.last();
                findings.add(PRESENT, format!("state of {id}: {state:?}, history: {says:?}"));
            }
        }
    }
    let strays: Vec<String> = sqlx::query_scalar(
        "with history as (
           select 'MOVE' as kind, member_id, effective_at, reason from member_sponsors
           union all select 'STATE', member_id, effective_at, reason from member_states)
         select format('%s of %s at %s', kind, member_id, effective_at) from history h
          where not exists (select from members m where m.id = h.member_id)
             or (effective_at > '-infinity' and 1 <> (
                 select count(*) from member_changes c
                  where c.kind = h.kind and c.member_id = h.member_id and c.refusal is null
                    and c.effective_at = h.effective_at and c.reason = h.reason))
          order by 1 limit 100",
    )
    .fetch_all(conn)
    .await?;
    for stray in strays {
        findings.add(PRESENT, format!("{stray}: no member, or no record of who changed it"));
    }
    Ok(())
}
