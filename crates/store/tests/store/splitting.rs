//! What a change of a reward split leaves in the tables, and what settlement reads of it.

use domain::amount::{Amount, Percentage};
use domain::history::{Change, Refusal, What};
use domain::ladder::Rank;
use domain::member::MemberStatus;
use domain::reward_split::RewardSplit;
use domain::rule_set::Reads;
use domain::sale::SourceType;
use store::changes::{self, Applied, Order};
use store::database::Role;
use store::enrolment::{self, NewMember};
use store::events::{self, Facts, NewEvent};
use store::settling::{self, Walk};
use store::testing::World;
use store::{locks, reward_splits};
use uuid::Uuid;

use crate::model::{Moment, id};

pub(crate) fn percent(text: &str) -> Percentage {
    Percentage::parse(text).unwrap()
}

pub(crate) fn shares(money: &str, points: &str) -> RewardSplit {
    RewardSplit { money_to_self: percent(money), points_to_self: percent(points) }
}

fn day(day: u32) -> Moment {
    format!("2026-03-{day:02}T00:00:00Z").parse().unwrap()
}

fn split(member: usize, money: Option<&str>, points: Option<&str>, at: Option<u32>) -> Change {
    let (money_to_self, points_to_self) = (money.map(percent), points.map(percent));
    let what = What::Split { money_to_self, points_to_self };
    Change { member_id: id(member), effective_at: at.map(day), what }
}

/// Members in a line, each below the one before.
async fn chain(length: usize) -> World {
    let world = World::new().await;
    let mut tx = world.owner.begin().await.unwrap();
    for number in 0..length {
        let member = NewMember {
            id: id(number),
            external_id: None,
            name: None,
            sponsor_id: (number > 0).then(|| id(number - 1)),
            status: MemberStatus::Active,
            rank: Rank(0),
            joined_at: None,
        };
        enrolment::enrol(&mut tx, &member, "test").await.unwrap();
    }
    tx.commit().await.unwrap();
    world
}

/// With the rights of ingest.
async fn apply(world: &World, changes: &[Change]) -> Result<Applied, Vec<(usize, Refusal)>> {
    let order =
        Order { changes, actor: "key:x", on_behalf_of: Some("Jana"), reason: "as she wished" };
    let mut tx = world.pool_as(Role::Ingest).begin().await.unwrap();
    let applied = changes::apply(&mut tx, &order).await.unwrap();
    tx.commit().await.unwrap();
    applied
}

/// Records a sale of a member at a moment; its id.
pub(crate) async fn sell(world: &World, seller: usize, at: Moment) -> Uuid {
    let name = format!("{seller} at {at}");
    let amount = Amount::parse("100").unwrap();
    let sale = NewEvent {
        id: domain::sale::event_id("test", &name),
        source: "test".to_owned(),
        external_id: name,
        facts: Facts {
            member_id: id(seller),
            occurred_at: at,
            source_type: SourceType::Product,
            currency: "EUR".parse().unwrap(),
            amount,
            volume: amount,
            product_id: None,
            order_kind: domain::sale::OrderKind::Standard,
            market: None,
            buyer_type: None,
            lines: Vec::new(),
        },
        details: events::Details::default(),
        recorded_at: at,
        earned_period: "2026-03-01".parse().unwrap(),
    };
    let mut conn = world.owner.acquire().await.unwrap();
    events::record(&mut conn, &[&sale]).await.unwrap();
    sale.id
}

/// The splits that settlement reads for these sales, in their order.
async fn read(world: &World, sales: &[Uuid], depth: u16) -> Vec<Option<RewardSplit>> {
    let mut tx = locks::begin_sharing_history(&world.pool_as(Role::Worker)).await.unwrap();
    let reads = Reads { depth, joined_at: false };
    let batch = settling::read(&mut tx, sales, reads).await.unwrap();
    let split = |sale: &Uuid| {
        let event = batch.events.iter().find(|event| event.sale.event_id == *sale).unwrap();
        let Walk::Found(inputs) = &event.walk else { panic!("{:?}", event.walk) };
        inputs.split
    };
    sales.iter().map(split).collect()
}

/// Of a change: effective moment, refusal, shares of money before and after, of points before and
/// after, actor, on whose behalf, reason.
type Row = (
    Option<Moment>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    String,
    String,
    String,
);

#[tokio::test]
async fn a_split_is_history_and_every_attempt_is_on_record() {
    let world = chain(2).await;
    let later = apply(&world, &[split(0, Some("70"), None, Some(20))]).await.unwrap();
    assert_eq!(
        (later.splits[0].old, later.splits[0].new),
        (shares("100", "100"), shares("70", "100"))
    );
    let earlier = apply(&world, &[split(0, None, Some("33.3333"), Some(10))]).await.unwrap();
    assert_eq!(earlier.splits[0].holds_until, Some(day(20)));
    for (change, cause) in [
        (split(0, Some("70"), None, Some(20)), "same_moment"),
        (split(0, Some("100"), None, Some(15)), "nothing_changes"),
        (split(0, Some("70"), Some("100"), None), "nothing_changes"),
        (split(9, Some("70"), None, None), "unknown_member"),
        (
            Change {
                effective_at: Some(day(1) + chrono::TimeDelta::days(36500)),
                ..split(0, Some("1"), None, None)
            },
            "future",
        ),
    ] {
        let refusals = apply(&world, &[change]).await.unwrap_err();
        assert_eq!(refusals[0].1.cause(), cause, "{change:?}");
    }
    let now = apply(&world, &[split(0, Some("0"), Some("50"), None)]).await.unwrap().now;

    let mut conn = world.owner.acquire().await.unwrap();
    for (at, split, since) in [
        (Some(day(9)), shares("100", "100"), None),
        (Some(day(10)), shares("100", "33.3333"), Some(day(10))),
        (Some(day(20)), shares("70", "100"), Some(day(20))),
        (None, shares("0", "50"), Some(now)),
    ] {
        let held = reward_splits::held(&mut conn, id(0), at).await.unwrap();
        assert_eq!((held.split, held.since), (split, since), "{at:?}");
    }
    let rows: Vec<Row> = sqlx::query_as(
        "select effective_at, refusal, old_money_to_self::text, new_money_to_self::text,
                old_points_to_self::text, new_points_to_self::text, actor, on_behalf_of, reason
           from member_changes where kind = 'SPLIT' and member_id = $1 order by id",
    )
    .bind(id(0))
    .fetch_all(&world.owner)
    .await
    .unwrap();
    let row = |at: Option<Moment>, refusal: Option<&str>, shares: [Option<&str>; 4]| -> Row {
        let [actor, whose, why] = ["key:x", "Jana", "as she wished"].map(str::to_owned);
        let [a, b, c, d] = shares.map(|share| share.map(str::to_owned));
        (at, refusal.map(str::to_owned), a, b, c, d, actor, whose, why)
    };
    let (all, seventy) = (Some("100.0000"), Some("70.0000"));
    assert_eq!(rows[0], row(Some(day(20)), None, [all, seventy, all, all]));
    assert_eq!(rows[1], row(Some(day(10)), None, [all, all, all, Some("33.3333")]));
    // A refused attempt leaves what was asked for.
    let asked = [None, seventy, None, None];
    assert_eq!(rows[2], row(Some(day(20)), Some("same_moment"), asked));
    assert_eq!(rows.len(), 7, "{rows:#?}");
    assert_eq!(rows[6], row(Some(now), None, [seventy, Some("0.0000"), all, Some("50.0000")]));
    let history: Vec<(Option<String>, String)> = sqlx::query_as(
        "select on_behalf_of, reason from member_reward_splits where member_id = $1",
    )
    .bind(id(0))
    .fetch_all(&world.owner)
    .await
    .unwrap();
    assert_eq!(history, vec![(Some("Jana".to_owned()), "as she wished".to_owned()); 3]);
}

/// L8: a sale reads the split of its own moment, of who was the sponsor then, and of nobody else.
#[tokio::test]
async fn l8_a_sale_reads_its_sponsors_split_of_its_own_moment() {
    let world = chain(3).await;
    let sales = [sell(&world, 2, day(9)).await, sell(&world, 2, day(10)).await];
    let of_others = [sell(&world, 0, day(12)).await, sell(&world, 1, day(12)).await];
    assert_eq!(read(&world, &sales, 5).await, [None, None], "nobody has said anything");

    apply(&world, &[split(1, Some("70"), Some("50"), Some(10))]).await.unwrap();
    let split_of_10 = Some(shares("70", "50"));
    assert_eq!(read(&world, &sales, 5).await, [None, split_of_10]);
    assert_eq!(read(&world, &of_others, 5).await, [None, None], "0 keeps everything");
    assert_eq!(read(&world, &sales, 0).await, [None, None], "no rule looks at the sponsor");

    // From day 11 on everything is kept again; from day 12 on somebody else is the sponsor.
    let back = split(1, Some("100"), Some("100"), Some(11));
    let what = What::Move { new_sponsor_id: Some(id(0)) };
    let moved = Change { member_id: id(2), effective_at: Some(day(12)), what };
    apply(&world, &[back, moved, split(0, None, Some("0"), Some(12))]).await.unwrap();
    let later = [sell(&world, 2, day(11)).await, sell(&world, 2, day(12)).await];
    assert_eq!(read(&world, &later, 5).await, [None, Some(shares("100", "0"))]);
    assert_eq!(read(&world, &sales, 5).await, [None, split_of_10], "as it stood");
    // The member who moved keeps their own split, and so does who stayed.
    let mut conn = world.owner.acquire().await.unwrap();
    let held = reward_splits::held(&mut conn, id(1), Some(day(10))).await.unwrap();
    assert_eq!(held.split, shares("70", "50"));
}
