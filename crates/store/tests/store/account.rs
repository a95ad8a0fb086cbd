//! Pages of a member's ledger lines, while lines are written.

use domain::amount::Amount;
use domain::decision::EntryType;
use domain::settle::Line;
use sqlx::PgConnection;
use store::ledger::{self, AccountPage};
use store::settling::{self, LedgerLine, Outcome};
use store::testing::World;
use uuid::Uuid;

const MEMBER: Uuid = Uuid::from_u128(7);

/// Settles an event that pays the member two lines.
async fn settle(conn: &mut PgConnection, number: u128) {
    let id = Uuid::from_u128(number);
    let line = || LedgerLine {
        line: Line {
            member_id: MEMBER,
            entry_type: EntryType::LevelCommission,
            level: 1,
            depth: 1,
            rule: 0,
            decision: 0,
            amount: Amount::parse("1").unwrap(),
            career_points: Amount::ZERO,
        },
        rule_number: 9,
        currency: "CZK".parse().unwrap(),
        earned_period: "2026-11-01".parse().unwrap(),
        posted_period: "2026-11-01".parse().unwrap(),
    };
    let outcome = Outcome {
        event_id: id,
        plan_number: 1,
        breakage: Amount::ZERO,
        inputs: vec![1],
        lines: vec![line(), line()],
    };
    assert_eq!(settling::claim(conn, std::slice::from_ref(&outcome)).await.unwrap(), [id]);
    settling::write_lines(conn, std::iter::once(&outcome)).await.unwrap();
}

/// Lines of a page as (event, line).
fn places(page: &AccountPage) -> Vec<(u128, i16)> {
    page.lines.iter().map(|line| (line.entry.event_id.as_u128(), line.entry.line)).collect()
}

/// A transaction that began earlier and commits later would be missed by a reader who has passed its
/// place. So no page but the last goes beyond it; and the last one shows everything at once.
#[tokio::test]
async fn a_line_that_commits_late_is_not_missed_by_who_pages() {
    let world = World::new().await;
    let mut reader = world.owner.acquire().await.unwrap();
    ledger::ensure_partition(&mut reader, "2026-11-01".parse().unwrap()).await.unwrap();
    for number in 1..=4 {
        sqlx::query(
            "insert into events (id, member_id, occurred_at, recorded_at, earned_period, \
             event_type, source_type, currency, source, external_id, amount, volume) values \
             ($1, $1, now(), now(), '2026-11-01', 'SALE', 'PRODUCT', 'CZK', 's', $2, 1, 1)",
        )
        .bind(Uuid::from_u128(number))
        .bind(number.to_string())
        .execute(&world.owner)
        .await
        .unwrap();
    }
    let mut first = world.owner.begin().await.unwrap();
    settle(&mut first, 4).await;
    first.commit().await.unwrap();
    let mut early = world.owner.begin().await.unwrap();
    settle(&mut early, 3).await;
    let mut late = world.owner.begin().await.unwrap();
    settle(&mut late, 1).await;
    settle(&mut late, 2).await;
    late.commit().await.unwrap();

    let mut page =
        async |after, limit| ledger::page(&mut reader, (MEMBER, None), after, limit).await.unwrap();
    let whole = page(None, 6).await;
    let committed = [(4, 1), (4, 2), (1, 1), (1, 2), (2, 1), (2, 2)].map(|(id, n)| (id, n - 1));
    assert_eq!(places(&whole), committed, "a single page shows what is committed");
    assert_eq!(whole.next, None);

    // Transactions of other databases on the server count too: what is shown before the end may be
    // less, never more.
    let passed = page(None, 5).await;
    assert!(committed[..2].starts_with(&places(&passed)), "{passed:?}");
    let mut met = places(&passed);
    let mut after = passed.next.unwrap();
    let held_back = page(Some(after), 3).await;
    assert!(held_back.next.is_some() && met.len() + held_back.lines.len() <= 2, "{held_back:?}");

    early.commit().await.unwrap();
    loop {
        let page = page(Some(after), 3).await;
        met.extend(places(&page));
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(met, [(4, 0), (4, 1), (3, 0), (3, 1), (1, 0), (1, 1), (2, 0), (2, 1)]);
}
