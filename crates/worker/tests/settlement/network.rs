//! Networks and sales for tests, and an oracle: one sale after the other, in memory, by the
//! domain's own function (law L10), on a tree that is walked by sponsor pointers.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use domain::amount::Amount;
use domain::inputs::{Inputs, Visit};
use domain::ladder::Rank;
use domain::member::MemberStatus;
use domain::period::Programme;
use domain::reward_split::RewardSplit;
use domain::rule_set::RuleSet;
use domain::sale::{self, OrderKind, Sale, SourceType};
use domain::settle::Settlement;
use store::enrolment::{self, NewMember};
use store::events::{self, Details, Facts, NewEvent};
use store::testing::World;
use store::testing::fuzz::Chance;
use store::{PgPool, ledger};
use uuid::Uuid;

pub(crate) const LADDER: [&str; 3] = ["MEMBER", "SILVER", "GOLD"];

pub(crate) const PLAN: &str = r#"
plan: retail
version: "1"
valid_from: 2020-01-01
max_levels: 6
rules:
  - id: base
    component: base
    calculation:
      type: unilevel
      levels:
        - {level: 1, percentage: "7.00", career_points_percentage: "10.00"}
        - {level: 2, percentage: "5.00", min_rank: SILVER}
        - {level: 3, percentage: "3.33"}
        - {level: 4, percentage: "1.25", min_rank: GOLD}
        - {level: 6, percentage: "0.50"}
  - id: big
    component: extra
    condition: {field: sale.amount, op: ">=", value: "300"}
    calculation: {type: unilevel, levels: [{level: 1, percentage: "1.00"}]}
"#;

/// Chances with a printed seed: a failing run can be repeated.
pub(crate) struct Dice(Chance);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        println!("seed {seed}");
        Self(Chance::new(seed))
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0.number() % end
    }
}

/// A member of the model.
#[derive(Clone, Copy)]
pub(crate) struct Member {
    pub(crate) sponsor: Option<Uuid>,
    pub(crate) rank: u8,
    pub(crate) status: MemberStatus,
}

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) members: HashMap<Uuid, Member>,
    pub(crate) ids: Vec<Uuid>,
    /// Who shares direct rewards.
    pub(crate) splits: HashMap<Uuid, RewardSplit>,
    /// When members joined, where a test says so.
    pub(crate) joined_at: HashMap<Uuid, DateTime<Utc>>,
}

pub(crate) fn member_id(number: usize) -> Uuid {
    Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + number as u128)
}

impl Model {
    /// Enrols `count` members under random sponsors, in the model and in the database.
    pub(crate) async fn enrol(world: &World, count: usize, dice: &mut Dice) -> Self {
        let mut model = Self::default();
        let mut tx = world.owner.begin().await.unwrap();
        for number in 0..count {
            let sponsor = (number > 0).then(|| model.ids[dice.below(number as u64) as usize]);
            let status =
                if dice.below(5) == 0 { MemberStatus::Inactive } else { MemberStatus::Active };
            let member = Member { sponsor, rank: dice.below(3) as u8, status };
            let id = member_id(number);
            enrol(&mut tx, id, member).await;
            model.ids.push(id);
            model.members.insert(id, member);
        }
        tx.commit().await.unwrap();
        model
    }

    fn visit(&self, id: Uuid) -> Visit {
        let member = &self.members[&id];
        Visit {
            member_id: id,
            rank: Rank(member.rank),
            status: member.status,
            joined_at: self.joined_at.get(&id).copied(),
        }
    }

    /// What a sale pays, and what that was computed from.
    pub(crate) fn settle(&self, sale: &NewEvent, rules: &RuleSet) -> (Settlement, Inputs) {
        let mut upline = Vec::new();
        let mut next = self.members[&sale.facts.member_id].sponsor;
        while let Some(id) = next {
            upline.push(self.visit(id));
            next = self.members[&id].sponsor;
        }
        let sponsor = upline.first().map(|visit: &Visit| visit.member_id);
        let split = sponsor.and_then(|id| self.splits.get(&id)).copied();
        let inputs = Inputs { seller: self.visit(sale.facts.member_id), upline, split };
        let facts = Sale {
            event_id: sale.id,
            amount: sale.facts.amount,
            volume: sale.facts.volume,
            currency: sale.facts.currency,
            source_type: sale.facts.source_type,
            product_id: sale.facts.product_id.clone(),
            order_kind: sale.facts.order_kind,
            market: sale.facts.market.clone(),
            buyer_type: sale.facts.buyer_type,
            lines: sale.facts.lines.clone(),
            as_of: sale.facts.occurred_at.min(sale.recorded_at),
            earned_period: Programme::default().period_of(sale.facts.occurred_at),
        };
        (domain::settle::settle(&facts, &inputs, rules).unwrap(), inputs)
    }

    /// The ledger's rows of a sale.
    pub(crate) fn lines(&self, sale: &NewEvent, rules: &RuleSet) -> Vec<LedgerRow> {
        let (settlement, _) = self.settle(sale, rules);
        let row = |(number, line): (usize, domain::settle::Line)| LedgerRow {
            event_id: sale.id,
            line: number as i16,
            member_id: line.member_id,
            entry_type: line.entry_type.name().to_owned(),
            level: line.level.cast_signed(),
            amount: line.amount.to_string(),
            career_points: line.career_points.to_string(),
            rule: rules.rules[line.rule].id.clone(),
        };
        settlement.lines.into_iter().enumerate().map(row).collect()
    }
}

pub(crate) async fn enrol(conn: &mut store::PgConnection, id: Uuid, member: Member) {
    let new = NewMember {
        id,
        external_id: None,
        name: None,
        sponsor_id: member.sponsor,
        status: member.status,
        rank: Rank(member.rank),
        joined_at: None,
    };
    enrolment::enrol(conn, &new, "test").await.unwrap();
}

/// A ledger row, comparable.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::FromRow)]
pub(crate) struct LedgerRow {
    pub(crate) event_id: Uuid,
    pub(crate) line: i16,
    pub(crate) member_id: Uuid,
    pub(crate) entry_type: String,
    pub(crate) level: i16,
    pub(crate) amount: String,
    pub(crate) career_points: String,
    pub(crate) rule: String,
}

/// The whole ledger, row by row.
pub(crate) async fn ledger(pool: &PgPool) -> Vec<LedgerRow> {
    let query = "select l.event_id, l.line, l.member_id, l.entry_type::text, l.level, l.amount::text, \
                 l.career_points::text, r.rule from commission_ledger l \
                 join commission_rules r on r.id = l.rule_id";
    let mut rows: Vec<LedgerRow> = sqlx::query_as(query).fetch_all(pool).await.unwrap();
    rows.sort_unstable();
    rows
}

/// A moment that sales of tests happen at.
pub(crate) fn moment() -> DateTime<Utc> {
    "2026-11-03T10:15:00Z".parse().unwrap()
}

pub(crate) fn new_sale(id: &str, seller: Uuid, amount: &str) -> NewEvent {
    let amount = Amount::parse(amount).unwrap();
    let occurred_at = moment();
    NewEvent {
        id: sale::event_id("test", id),
        source: "test".to_owned(),
        external_id: id.to_owned(),
        facts: Facts {
            member_id: seller,
            occurred_at,
            source_type: SourceType::Product,
            currency: "EUR".parse().unwrap(),
            amount,
            volume: amount,
            product_id: None,
            order_kind: OrderKind::Standard,
            market: None,
            buyer_type: None,
            lines: Vec::new(),
        },
        details: Details::default(),
        recorded_at: occurred_at + TimeDelta::seconds(1),
        earned_period: Programme::default().period_of(occurred_at).first_day(),
    }
}

/// Records sales as ingest does, but rings nobody.
pub(crate) async fn record(world: &World, sales: &[NewEvent]) {
    let mut conn = world.owner.acquire().await.unwrap();
    ledger::ensure_partition(&mut conn, sales[0].earned_period).await.unwrap();
    let mut sorted: Vec<&NewEvent> = sales.iter().collect();
    sorted.sort_unstable_by_key(|sale| sale.id);
    assert_eq!(events::record(&mut conn, &sorted).await.unwrap().len(), sales.len());
}

/// Records sales and rings for them.
pub(crate) async fn post(world: &World, sales: &[NewEvent]) {
    record(world, sales).await;
    let ids: Vec<Uuid> = sales.iter().map(|sale| sale.id).collect();
    world.ringer().publish(&ids).await.unwrap();
}

/// One number.
pub(crate) async fn count(world: &World, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&world.owner).await.unwrap()
}
