//! Sales: what was acknowledged is recorded as it was posted, and nothing else is.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::findings::Findings;
use super::promise::{NOTHING_ELSE, RECORDED};
use super::settled;
use crate::evidence::{Evidence, PostedSale};
use crate::reference::history::Network;
use crate::reference::ten_thousandths;

/// Events read at a time.
const PAGE: i64 = 1_000;

/// A row of `events`, as it lies there.
#[derive(sqlx::FromRow)]
pub(super) struct Event {
    pub(super) id: Uuid,
    source: String,
    external_id: String,
    pub(super) member_id: Uuid,
    occurred_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
    as_of: DateTime<Utc>,
    pub(super) earned_period: NaiveDate,
    kind: String,
    source_type: String,
    pub(super) currency: String,
    pub(super) amount: String,
    volume: String,
    line_count: i16,
}

impl Event {
    /// The sale's moment, computed and not read.
    pub(super) fn moment(&self) -> DateTime<Utc> {
        self.occurred_at.min(self.recorded_at)
    }
}

/// A sale that the load posted.
struct Posted<'a> {
    sale: &'a PostedSale,
    is_acknowledged: bool,
    is_seen: bool,
}

pub(super) async fn check(
    conn: &mut PgConnection,
    evidence: &Evidence,
    network: &Network,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let rules: HashMap<i32, String> = sqlx::query_as("select id, rule from commission_rules")
        .fetch_all(&mut *conn)
        .await?
        .into_iter()
        .collect();
    let posted = |sale, is_acknowledged| Posted { sale, is_acknowledged, is_seen: false };
    let unanswered = evidence.unanswered.iter().map(|sale| (sale.event_id, posted(sale, false)));
    let acknowledged = evidence.acknowledged.iter().map(|sale| (sale.event_id, posted(sale, true)));
    let mut posted: HashMap<Uuid, Posted> = unanswered.chain(acknowledged).collect();
    let mut after = Uuid::nil();
    loop {
        let page: Vec<Event> = sqlx::query_as(
            "select id, source, external_id, member_id, occurred_at, recorded_at, as_of, \
                    earned_period, event_type::text as kind, source_type::text, currency, amount::text, \
                    volume::text, line_count \
               from events where id > $1 order by id limit $2",
        )
        .bind(after)
        .bind(PAGE)
        .fetch_all(&mut *conn)
        .await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for event in &page {
            match posted.get_mut(&event.id) {
                None => {
                    let Event { id, source, external_id, .. } = event;
                    findings.add(NOTHING_ELSE, format!("event {id}, {source}/{external_id}"));
                }
                Some(posted) => {
                    posted.is_seen = true;
                    for difference in differences(event, posted.sale) {
                        findings.add(RECORDED, format!("event {}: {difference}", event.id));
                    }
                }
            }
        }
        settled::check(conn, &page, network, &rules, findings).await?;
    }
    for (id, posted) in &posted {
        if posted.is_acknowledged && !posted.is_seen {
            let PostedSale { source, external_id, .. } = posted.sale;
            findings.add(RECORDED, format!("event {id}, {source}/{external_id}, is missing"));
        }
    }
    let twice: Vec<(String, String, i64)> = sqlx::query_as(
        "select source, external_id, count(*) from events group by 1, 2 having count(*) > 1 \
          order by 1, 2 limit 100",
    )
    .fetch_all(&mut *conn)
    .await?;
    for (source, external_id, times) in twice {
        findings.add(RECORDED, format!("sale {source}/{external_id} is recorded {times} times"));
    }
    Ok(())
}

/// Every fact that is not as posted, with both values.
fn differences(event: &Event, posted: &PostedSale) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |field: &str, recorded: String, expected: String| {
        if recorded != expected {
            differences.push(format!("{field} {recorded} is recorded, {expected} expected"));
        }
    };
    let amount = |text: &str| {
        let value = ten_thousandths(text);
        value.map_or_else(|| format!("unreadable {text}"), |value| value.to_string())
    };
    let posted_amount = amount(&posted.amount.normalize().to_string());
    compare("source", event.source.clone(), posted.source.clone());
    compare("external_id", event.external_id.clone(), posted.external_id.clone());
    compare("member_id", event.member_id.to_string(), posted.member_id.to_string());
    compare("currency", event.currency.clone(), posted.currency.clone());
    compare("amount (1/10,000)", amount(&event.amount), posted_amount.clone());
    compare("volume (1/10,000)", amount(&event.volume), posted_amount);
    compare("event_type", event.kind.clone(), "SALE".to_owned());
    compare("source_type", event.source_type.clone(), "PRODUCT".to_owned());
    compare("line_count", event.line_count.to_string(), "0".to_owned());
    let occurred_at = event.occurred_at.timestamp_micros().to_string();
    compare("occurred_at (µs)", occurred_at, posted.occurred_at.timestamp_micros().to_string());
    compare("as_of", event.as_of.to_string(), event.moment().to_string());
    let period = event.moment().format("%Y-%m-01").to_string();
    compare("earned_period", event.earned_period.to_string(), period);
    if event.occurred_at > event.recorded_at + TimeDelta::minutes(5) {
        let (said, recorded) = (event.occurred_at, event.recorded_at);
        differences.push(format!("it happened at {said} and was recorded at {recorded}"));
    }
    differences
}
