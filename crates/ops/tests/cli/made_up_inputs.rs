//! L8 against a worker's role that settles sales with inputs that it made up: everything that it
//! writes follows from them, so nothing but the history of then shows that they are untrue.

use std::collections::BTreeMap;

use domain::amount::Percentage;
use domain::inputs::{Inputs, Visit};
use domain::ladder::Rank;
use domain::member::MemberStatus;
use domain::reward_split::RewardSplit;
use serde_json::Value;
use store::database::Role;
use store::plans;
use store::settling::{self, LedgerLine, Outcome, Walk};
use store::testing::World;
use uuid::Uuid;

use crate::proving::{lineage, settled_world};

fn member(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Records a sale like the others, of a member.
async fn record(world: &World, member_id: Uuid) -> Uuid {
    let copy = "insert into events (id, member_id, occurred_at, recorded_at, earned_period, \
                event_type, source_type, currency, source, external_id, amount, volume) \
                select made.id, $1, occurred_at, recorded_at, earned_period, event_type, \
                source_type, currency, source, made.id::text, amount, volume \
                from events, (select gen_random_uuid() as id) made where line_count = 0 limit 1 \
                returning id";
    sqlx::query_scalar(copy).bind(member_id).fetch_one(&world.owner).await.unwrap()
}

/// Settles a sale as a worker would, but for what it is made to believe: lines, breakage and inputs
/// agree with one another.
async fn settle(world: &World, event_id: Uuid, believe: impl FnOnce(Walk) -> Inputs) {
    let worker = world.pool_as(Role::Worker);
    let mut tx = store::locks::begin_sharing_history(&worker).await.unwrap();
    let book = plans::rule_book(&mut tx).await.unwrap();
    let batch = settling::read(&mut tx, &[event_id], book.reads()).await.unwrap();
    let event = batch.events.into_iter().next().unwrap();
    let version = book.version_for(&event.sale).unwrap();
    let mut inputs = believe(event.walk);
    let settlement = domain::settle::settle(&event.sale, &inputs, &version.rule_set).unwrap();
    inputs.keep_read(settlement.visited(), version.rule_set.reads().joined_at);
    let earned_period = event.sale.earned_period.first_day();
    let lines = settlement.lines.into_iter().map(|line| LedgerLine {
        rule_number: version.rule_numbers[line.rule],
        line,
        currency: event.sale.currency,
        earned_period,
        posted_period: earned_period,
    });
    let outcome = Outcome {
        event_id,
        plan_number: version.number,
        breakage: settlement.breakage,
        inputs: inputs.pack(),
        lines: lines.collect(),
    };
    let outcomes = [outcome];
    assert_eq!(settling::claim(&mut tx, &outcomes).await.unwrap(), [event_id]);
    settling::write_lines(&mut tx, outcomes.iter()).await.unwrap();
    tx.commit().await.unwrap();
}

fn found(walk: Walk) -> Inputs {
    let Walk::Found(inputs) = walk else { panic!("{walk:?}") };
    inputs
}

/// What is made up.
type Forgery = fn(&mut Inputs);

/// What `verify` finds, by event; nothing but untrue inputs may be among it.
async fn untrue_inputs(world: &World, arguments: &[&str]) -> BTreeMap<String, String> {
    let (proved, said) =
        lineage(world, &[&["verify", "--format", "json"], arguments].concat()).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    let found = said["findings"].as_array().unwrap();
    assert_eq!(proved, found.is_empty(), "{said:#}");
    let one = |finding: &Value| {
        assert_eq!((&finding["check"], &finding["about"]), (&"inputs".into(), &"event".into()));
        let advice = finding["advice"].as_str().unwrap();
        assert!(advice.starts_with("do not pay it out"), "{advice}");
        let text = |name: &str| finding[name].as_str().unwrap().to_owned();
        (text("id"), text("problem"))
    };
    found.iter().map(one).collect()
}

/// L8: whoever may write outcomes cannot make `verify` believe in another upline, rank or status than
/// held.
#[tokio::test]
async fn l8_made_up_inputs_are_found_however_well_they_agree_with_what_is_paid() {
    let world = settled_world().await;
    let honest = record(&world, member(4)).await;
    settle(&world, honest, found).await;
    assert_eq!(untrue_inputs(&world, &[]).await, BTreeMap::new(), "the truth is proved");

    let forgeries: [(&str, Forgery, &str); 10] = [
        (
            "another beneficiary",
            |inputs| inputs.upline[0].member_id = member(77),
            "place 1 of the upline is stored as 00000000-0000-0000-0000-00000000004d (MEMBER, ACTIVE), \
             by the history 00000000-0000-0000-0000-000000000003 (MEMBER, ACTIVE)",
        ),
        (
            "a member of the upline twice",
            |inputs| inputs.upline[2] = inputs.upline[0],
            "place 3 of the upline is stored as 00000000-0000-0000-0000-000000000003",
        ),
        (
            "a rank raised",
            |inputs| inputs.upline[1].rank = Rank(1),
            "place 2 of the upline is stored as 00000000-0000-0000-0000-000000000002 (SILVER, ACTIVE), \
             by the history 00000000-0000-0000-0000-000000000002 (MEMBER, ACTIVE)",
        ),
        (
            "a status changed",
            |inputs| inputs.upline[0].status = MemberStatus::Suspended,
            "(MEMBER, SUSPENDED), by the history 00000000-0000-0000-0000-000000000003 (MEMBER, ACTIVE)",
        ),
        (
            "the upline shortened",
            |inputs| inputs.upline.truncate(1),
            "they end before place 2 of the upline, which by the history was \
             00000000-0000-0000-0000-000000000002 (MEMBER, ACTIVE)",
        ),
        ("no upline at all", |inputs| inputs.upline.clear(), "they end before place 1"),
        (
            "two swapped",
            |inputs| inputs.upline.swap(0, 2),
            "place 1 of the upline is stored as 00000000-0000-0000-0000-000000000001 (SILVER, ACTIVE)",
        ),
        (
            "somebody put in between",
            |inputs| {
                let other = Visit { member_id: member(77), ..inputs.upline[0] };
                inputs.upline.insert(1, other);
            },
            "place 2 of the upline is stored as 00000000-0000-0000-0000-00000000004d",
        ),
        (
            "another seller",
            |inputs| inputs.seller.member_id = member(3),
            "the seller is stored as 00000000-0000-0000-0000-000000000003 (MEMBER, ACTIVE), by the \
             history 00000000-0000-0000-0000-000000000004 (MEMBER, ACTIVE)",
        ),
        (
            "a reward split",
            |inputs| {
                let none = Percentage::default();
                inputs.split = Some(RewardSplit { money_to_self: none, points_to_self: none });
            },
            "the sponsor's reward split is stored as keeping 0.00 % of money and 0.00 % of points, by \
             the history keeping everything",
        ),
    ];
    let mut expected = BTreeMap::new();
    for (what, forgery, problem) in forgeries {
        let event_id = record(&world, member(4)).await;
        let believe = |walk| {
            let mut inputs = found(walk);
            forgery(&mut inputs);
            inputs
        };
        settle(&world, event_id, believe).await;
        expected.insert(event_id.to_string(), (what, problem));
    }
    // Nobody sold this.
    let of_nobody = record(&world, member(99)).await;
    let seller = Visit {
        member_id: member(4),
        rank: Rank(0),
        status: MemberStatus::Active,
        joined_at: None,
    };
    let upline = vec![Visit { member_id: member(3), ..seller }];
    settle(&world, of_nobody, |_| Inputs { seller, upline, split: None }).await;
    let problem = "begin with member 00000000-0000-0000-0000-000000000004, but nobody is enrolled";
    expected.insert(of_nobody.to_string(), ("of nobody", problem));

    for arguments in [&[][..], &["--period", "2026-11"], &["--sample", "1000", "--jobs", "2"]] {
        let found = untrue_inputs(&world, arguments).await;
        assert_eq!(found.len(), expected.len(), "{arguments:?}: {found:#?}");
        for (event_id, (what, problem)) in &expected {
            assert!(found[event_id].contains(problem), "{what}: {}", found[event_id]);
        }
    }
    let other_month = untrue_inputs(&world, &["--period", "2026-10"]).await;
    assert_eq!(other_month, BTreeMap::new(), "nothing was sold then");
}
