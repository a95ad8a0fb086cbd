//! What is written by binary COPY comes back as it was.

use domain::amount::Amount;
use domain::decision::EntryType;
use domain::inputs::{Inputs, Visit};
use domain::ladder::Rank;
use domain::member::MemberStatus;
use domain::settle::Line;
use rust_decimal::Decimal;
use store::settling::{self, LedgerLine, Outcome};
use store::testing::World;
use uuid::Uuid;

#[tokio::test]
async fn ledger_lines_come_back_as_they_were_written() {
    let world = World::new().await;
    let period = "2026-11-01".parse().unwrap();
    let mut conn = world.owner.acquire().await.unwrap();
    store::ledger::ensure_partition(&mut conn, period).await.unwrap();
    let amounts =
        ["0", "1", "0.0001", "10000", "123.4567", "9999999999999999.9999", "-0.5", "-20000"];
    let line = |text: &&str| LedgerLine {
        line: Line {
            member_id: Uuid::from_u128(7),
            entry_type: EntryType::LevelCommission,
            level: 3,
            depth: 4,
            rule: 0,
            decision: 0,
            amount: Amount::parse(text).unwrap(),
            career_points: Amount::parse("1.5").unwrap(),
        },
        rule_number: 9,
        currency: "CZK".parse().unwrap(),
        earned_period: period,
        posted_period: period,
    };
    let outcome = Outcome {
        event_id: Uuid::from_u128(1),
        plan_number: 1,
        breakage: Amount::ZERO,
        inputs: vec![1],
        lines: amounts.iter().map(line).collect(),
    };
    let written = settling::write_lines(&mut conn, std::iter::once(&outcome)).await.unwrap();
    assert_eq!(written, amounts.len() as u64);
    let query = "select amount from commission_ledger where event_id = $1 and level = 3 \
                 and depth = 4 and rule_id = 9 and currency = 'CZK' and career_points = 1.5 \
                 and earned_period = '2026-11-01' and entry_type = 'LEVEL_COMMISSION' order by line";
    let stored: Vec<Decimal> =
        sqlx::query_scalar(query).bind(outcome.event_id).fetch_all(&world.owner).await.unwrap();
    let expected: Vec<Decimal> = amounts.iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(stored, expected);
}

/// Auditors read packed inputs by an SQL function; it must read what the domain packs.
#[tokio::test]
async fn l9_sql_unpacks_what_the_domain_packs() {
    let world = World::new().await;
    let visit = |number: u128, rank, status| Visit {
        member_id: Uuid::from_u128(number << 64 | number),
        rank: Rank(rank),
        status,
        joined_at: None,
    };
    let inputs = Inputs {
        seller: visit(1, 0, MemberStatus::Active),
        upline: vec![
            visit(2, 255, MemberStatus::Inactive),
            visit(3, 1, MemberStatus::Suspended),
            visit(4, 2, MemberStatus::Terminated),
        ],
        split: None,
    };
    let query = "select position, member_id, rank, status::text from unpack_inputs($1) order by 1";
    let rows: Vec<(i32, Uuid, i16, String)> =
        sqlx::query_as(query).bind(inputs.pack()).fetch_all(&world.owner).await.unwrap();
    let expected: Vec<_> = (0..)
        .zip(std::iter::once(&inputs.seller).chain(&inputs.upline))
        .map(|(at, v)| (at, v.member_id, i16::from(v.rank.0), v.status.name().to_owned()))
        .collect();
    assert_eq!(rows, expected);
}

/// L1: a second transaction gets nothing for an event that the first has claimed.
#[tokio::test]
async fn l1_an_event_is_claimed_once() {
    let world = World::new().await;
    let outcome = |number: u128| Outcome {
        event_id: Uuid::from_u128(number),
        plan_number: 1,
        breakage: Amount::ZERO,
        inputs: vec![1],
        lines: vec![],
    };
    let mut first = world.owner.begin().await.unwrap();
    let claimed = settling::claim(&mut first, &[outcome(1), outcome(2)]).await.unwrap();
    assert_eq!(claimed.len(), 2);
    let pool = world.owner.clone();
    let second = tokio::spawn(async move {
        let mut tx = pool.begin().await.unwrap();
        let claimed = settling::claim(&mut tx, &[outcome(2), outcome(3)]).await.unwrap();
        tx.commit().await.unwrap();
        claimed
    });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    first.commit().await.unwrap();
    assert_eq!(second.await.unwrap(), [Uuid::from_u128(3)]);
}
