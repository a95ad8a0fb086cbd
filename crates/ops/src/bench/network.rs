//! Networks and sales made up for benchmarks, the same for the same seed.

use std::collections::HashMap;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use domain::amount::Amount;
use domain::ladder::Rank;
use domain::member::MemberStatus;
use domain::network::{Link, arrange};
use domain::period::Period;
use domain::sale::{self, OrderKind, SourceType};
use store::events::{self, Details, Facts, NewEvent};
use store::import::{self, ImportedMember};
use store::{PgPool, ledger};
use uuid::Uuid;

/// A small generator with known results: benchmarks need repeatable numbers, not secrets.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Sebastiano Vigna's `SplitMix64`.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap_or(0)
    }

    pub(crate) fn id(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.next(), self.next())
    }
}

/// Members of one tree in which everybody is sponsored by somebody who came before: depths grow
/// with the logarithm of the size, about 12 on average at 300,000.
pub(crate) fn members(count: u32) -> Vec<ImportedMember> {
    let mut dice = Dice::new(1);
    let mut members: Vec<ImportedMember> = Vec::with_capacity(count as usize);
    for place in 0..count as usize {
        let sponsor_id = (place > 0).then(|| members[dice.below(place)].id);
        members.push(ImportedMember {
            id: dice.id(),
            sponsor_id,
            external_id: None,
            name: None,
            status: MemberStatus::Active,
            rank: Rank(0),
            joined_at: None,
        });
    }
    members
}

/// Enrols a network by the import's own functions. Returns the members' ids.
pub(crate) async fn enrol(pool: &PgPool, count: u32) -> anyhow::Result<Vec<Uuid>> {
    let members = members(count);
    let links: Vec<Link> =
        members.iter().map(|member| Link { id: member.id, sponsor: member.sponsor_id }).collect();
    let arrangement = arrange(&links, |_| false)
        .map_err(|flaws| anyhow::anyhow!("the network made up has {} flaws", flaws.len()))?;
    let mut tx = pool.begin().await?;
    import::begin(&mut tx).await?;
    import::write(&mut tx, &members, &arrangement, &HashMap::new(), "bench", |_| {}).await?;
    tx.commit().await?;
    Ok(members.into_iter().map(|member| member.id).collect())
}

/// Records sales of random sellers. Returns the events' ids in the order of recording.
pub(crate) async fn record_sales(
    pool: &PgPool,
    sellers: &[Uuid],
    count: u32,
) -> anyhow::Result<Vec<Uuid>> {
    let mut dice = Dice::new(2);
    let sellers: Vec<Uuid> = (0..count).map(|_| sellers[dice.below(sellers.len())]).collect();
    record_sale_each(pool, &sellers, "order", TimeDelta::zero()).await
}

/// Records a sale of each seller, which happened so long ago. Orders of different names are
/// different sales. Returns the events' ids in the order of the sellers.
pub(crate) async fn record_sale_each(
    pool: &PgPool,
    sellers: &[Uuid],
    name: &str,
    age: TimeDelta,
) -> anyhow::Result<Vec<Uuid>> {
    let mut conn = pool.acquire().await?;
    let recorded_at = events::clock(&mut conn).await?;
    let occurred_at = recorded_at - age;
    let period = Period::containing(occurred_at.date_naive());
    ledger::ensure_partition(&mut conn, period.first_day()).await?;
    let mut dice = Dice::new(4);
    let sales: Vec<NewEvent> = sellers
        .iter()
        .zip(0..)
        .map(|(seller, number): (&Uuid, u32)| {
            let facts = facts(*seller, occurred_at, &mut dice);
            new_event(format!("{name}-{number}"), facts, recorded_at, period)
        })
        .collect();
    for chunk in sales.chunks(1000) {
        let mut sorted: Vec<&NewEvent> = chunk.iter().collect();
        sorted.sort_unstable_by_key(|event| event.id);
        events::record(&mut conn, &sorted).await?;
    }
    Ok(sales.into_iter().map(|event| event.id).collect())
}

fn new_event(
    external_id: String,
    facts: Facts,
    recorded_at: DateTime<Utc>,
    period: Period,
) -> NewEvent {
    NewEvent {
        id: sale::event_id("bench", &external_id),
        source: "bench".to_owned(),
        external_id,
        facts,
        details: Details::default(),
        recorded_at,
        earned_period: period.first_day(),
    }
}

fn facts(member_id: Uuid, occurred_at: DateTime<Utc>, dice: &mut Dice) -> Facts {
    let amount = amount(dice);
    Facts {
        member_id,
        occurred_at,
        source_type: SourceType::Product,
        currency: "EUR".parse().unwrap_or_else(|_| unreachable!("EUR is a currency")),
        amount,
        volume: amount,
        product_id: None,
        order_kind: OrderKind::Standard,
        market: None,
        buyer_type: None,
        lines: Vec::new(),
    }
}

fn amount(dice: &mut Dice) -> Amount {
    let text = format!("{}.{:02}", 1 + dice.below(500), dice.below(100));
    Amount::parse(&text).unwrap_or_default()
}

/// Bodies of requests with `batch` sales each, as a shop would post them.
pub(crate) async fn request_bodies(
    pool: &PgPool,
    sellers: &[Uuid],
    count: u32,
    batch: u16,
) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut conn = pool.acquire().await?;
    let now = events::clock(&mut conn).await? - TimeDelta::seconds(1);
    let mut dice = Dice::new(3);
    let sales: Vec<serde_json::Value> = (0..count)
        .map(|number| {
            serde_json::json!({
                "type": "SALE", "source": "bench", "id": format!("order-{number}"),
                "member_id": sellers[dice.below(sellers.len())],
                "amount": amount(&mut dice).to_string(), "currency": "EUR",
                "occurred_at": now.to_rfc3339(),
            })
        })
        .collect();
    let body = |chunk: &[serde_json::Value]| {
        if batch == 1 { serde_json::to_vec(&chunk[0]) } else { serde_json::to_vec(chunk) }
    };
    sales.chunks(usize::from(batch)).map(|chunk| body(chunk).context("JSON")).collect()
}
