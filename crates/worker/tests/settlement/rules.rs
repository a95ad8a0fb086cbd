//! L5, L8: a sale is priced by the version and the rules that are in force at its moment, to the
//! microsecond, whenever they were applied and whoever settles it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use domain::ladder::Ladder;
use domain::period::Programme;
use domain::plan::PlanFile;
use domain::rule_book::Retirement;
use domain::rule_set::RuleSet;
use domain::sale::SourceType;
use store::events::NewEvent;
use store::plans::{self, Application, Applied, ApplyError, Retire, RetireError, Retired};
use store::testing::World;
use store::{ledger as partitions, programme};
use uuid::Uuid;

use crate::network::{
    Dice, LADDER, LedgerRow, Member, Model, count, enrol, ledger, member_id, new_sale, record,
};

/// A version whose one rule is called like the version.
fn plan(
    plan: &str,
    version: &str,
    valid_from: &str,
    source_types: &str,
    percentage: &str,
) -> String {
    format!(
        "plan: {plan}\nversion: '{version}'\nvalid_from: {valid_from}\n{source_types}\nrules:\n  - id: \
         '{version}'\n    component: base\n    calculation: {{type: unilevel, levels: [{{level: 1, \
         percentage: '{percentage}'}}]}}\n"
    )
}

/// Records sales of any month, and rings nobody.
async fn record_all(world: &World, sales: &[NewEvent]) {
    let mut conn = world.owner.acquire().await.unwrap();
    let periods: BTreeSet<NaiveDate> = sales.iter().map(|sale| sale.earned_period).collect();
    for period in periods {
        partitions::ensure_partition(&mut conn, period).await.unwrap();
    }
    record(world, sales).await;
}

fn sale_at(id: &str, seller: Uuid, at: DateTime<Utc>, programme: &Programme) -> NewEvent {
    let mut sale = new_sale(id, seller, "100");
    (sale.facts.occurred_at, sale.recorded_at) = (at, at + TimeDelta::seconds(1));
    sale.earned_period = programme.period_of(at).first_day();
    sale
}

async fn retire(world: &World, plan: &str, from: DateTime<Utc>) -> Result<Retired, RetireError> {
    let retirement = Retirement { plan: plan.to_owned(), from };
    let order = Retire { retirement: &retirement, retired_by: "test", reason: "test" };
    let mut tx = world.owner.begin().await.unwrap();
    let retired = plans::retire(&mut tx, &order).await?;
    tx.commit().await.unwrap();
    Ok(retired)
}

/// Two days of Prague have 23 and 25 hours. Versions of one plan and rules inside a version of another
/// begin and end with them; a retirement, too.
#[tokio::test]
async fn l8_versions_and_rules_are_half_open_to_the_microsecond_across_clock_changes() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    let time_zone = Programme::parse_time_zone("Europe/Prague").unwrap();
    let prague = Programme { time_zone, ..Programme::default() };
    let mut tx = world.owner.begin().await.unwrap();
    programme::set(&mut tx, &prague).await.unwrap();
    let member =
        |sponsor| Member { sponsor, rank: 0, status: domain::member::MemberStatus::Active };
    let [top, seller] = [0, 1].map(member_id);
    enrol(&mut tx, top, member(None)).await;
    enrol(&mut tx, seller, member(Some(top))).await;
    tx.commit().await.unwrap();

    let product = "source_types: [PRODUCT]";
    for (version, valid_from) in [
        ("winter", "2023-01-01"),
        ("short-day", "2023-03-26"),
        ("summer", "2023-03-27"),
        ("long-day", "2023-10-29"),
    ] {
        world.plan(&plan("shop", version, valid_from, product, "5")).await;
    }
    let long_day_ends: DateTime<Utc> = "2023-10-29T23:00:00Z".parse().unwrap();
    assert_eq!(prague.start_of_day("2023-10-30".parse().unwrap()), long_day_ends);
    retire(&world, "shop", long_day_ends).await.unwrap();
    let rule = |id: &str, more: &str| {
        format!(
            "  - {{id: {id}, component: base, {more}, calculation: {{type: unilevel, levels: [{{level: \
             1, percentage: '5'}}]}}}}\n"
        )
    };
    let rules = [
        rule("always", "priority: 0"),
        rule("short-day", "priority: 1, valid_from: 2023-03-26, valid_to: 2023-03-27"),
        rule("long-day", "priority: 1, valid_from: 2023-10-29, valid_to: 2023-10-30"),
    ];
    let head =
        "plan: funds\nversion: '1'\nvalid_from: 2023-01-01\nsource_types: [INVESTMENT]\nrules:\n";
    world.plan(&format!("{head}{}", rules.concat())).await;

    // Each boundary with what holds before and from then on: for the shop by version, for the funds
    // by rule.
    let boundaries = [
        ("2023-03-25T23:00:00Z", ["winter", "short-day"], ["always", "short-day"]),
        ("2023-03-26T22:00:00Z", ["short-day", "summer"], ["short-day", "always"]),
        ("2023-10-28T22:00:00Z", ["summer", "long-day"], ["always", "long-day"]),
        ("2023-10-29T23:00:00Z", ["long-day", "back"], ["long-day", "always"]),
    ];
    let micro = TimeDelta::microseconds(1);
    let mut sales = Vec::new();
    let mut expected = BTreeMap::new();
    for (boundary, versions, rules) in boundaries {
        let boundary: DateTime<Utc> = boundary.parse().unwrap();
        for (at, side) in [(boundary - micro, 0), (boundary, 1), (boundary + micro, 1)] {
            for (source_type, by) in
                [(SourceType::Product, versions), (SourceType::Investment, rules)]
            {
                let mut sale = sale_at(&format!("{source_type} {at}"), seller, at, &prague);
                sale.facts.source_type = source_type;
                expected.insert(sale.id, by[side].to_owned());
                sales.push(sale);
            }
        }
    }
    record_all(&world, &sales).await;
    let ids: Vec<Uuid> = sales.iter().map(|sale| sale.id).collect();
    world.ringer().publish(&ids).await.unwrap();
    let _worker = world.worker(&["--batch", "5"]);
    world
        .wait_until(
            "what is in force settles, and the rest fails",
            "select (select count(*) from commission_outcomes) = 22 \
                and (select count(*) from event_failures where cause = 'no_plan') = 2",
        )
        .await;

    // A version that begins with the retirement takes its place and revives what waited.
    let back = plan("shop", "back", "2023-10-30", product, "5");
    let (applied, ids) = apply(&world, &back, &prague, Duration::ZERO).await.unwrap();
    let waited = sales.iter().filter(|sale| expected[&sale.id] == "back").map(|sale| sale.id);
    assert_eq!(ids, waited.collect::<BTreeSet<_>>());
    assert!(matches!(applied, Applied::New { .. }));
    world.ringer().publish(&ids.into_iter().collect::<Vec<_>>()).await.unwrap();
    world.wait_until_settled().await;
    let rows = ledger(&world.owner).await;
    let paid_by: BTreeMap<Uuid, String> =
        rows.into_iter().map(|row| (row.event_id, row.rule)).collect();
    assert_eq!(paid_by, expected);
}

/// Applies a plan and takes its time to commit; says also which events it revived.
async fn apply(
    world: &World,
    yaml: &str,
    programme: &Programme,
    hesitation: Duration,
) -> Result<(Applied, BTreeSet<Uuid>), ApplyError> {
    let ladder = Ladder::new(LADDER.map(str::to_owned).to_vec()).unwrap();
    let rule_set =
        RuleSet::compile(&PlanFile::from_yaml(yaml).unwrap(), &ladder, programme).unwrap();
    let application =
        Application { rule_set: &rule_set, file_hash: [0; 32], applied_by: "test", reason: "race" };
    let mut tx = world.owner.begin().await.unwrap();
    let applied = plans::apply(&mut tx, &application).await?;
    // Sales of after its beginning must not be settled before it is seen.
    tokio::time::sleep(hesitation).await;
    tx.commit().await.unwrap();
    let revived = match &applied {
        Applied::New { revived, .. } => revived.iter().copied().collect(),
        Applied::Already { .. } => BTreeSet::new(),
    };
    Ok((applied, revived))
}

const ROUNDS: u32 = 30;
const DAYS_OF_A_ROUND: u64 = 10;
const SALES_OF_A_ROUND: u64 = 40;

fn first_day(round: u32) -> NaiveDate {
    let start: NaiveDate = "2026-01-01".parse().unwrap();
    start + chrono::Days::new(u64::from(round) * DAYS_OF_A_ROUND)
}

/// Versions and retirements are applied while three workers settle: some begin after all sales, some
/// between sales that wait, and some at moments at which they come too late and are refused. In the
/// end every sale was priced by the version in force at its moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l5_l8_versions_and_retirements_race_with_the_settlement_of_their_sales() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    let utc = Programme::default();
    // What the shop's plan does not price while it is retired falls to the plan for all.
    world.plan(&plan("general", "general", "2020-01-01", "", "1")).await;
    world.plan(&plan("shop", "first", "2020-01-01", "source_types: [PRODUCT]", "2")).await;
    let mut dice = Dice::new(store::testing::seed());
    let model = Model::enrol(&world, 20, &mut dice).await;
    let _workers = [
        world.worker(&["--batch", "1", "--sweep-every", "3600"]),
        world.worker(&["--batch", "7", "--sweep-every", "3600"]),
        world.worker(&["--batch", "100", "--sweep-every", "3600"]),
    ];
    let mut sales: Vec<NewEvent> = Vec::new();
    let (mut made, mut retired, mut refused) = (0, 0, 0);
    for round in 0..ROUNDS {
        let midnight = utc.start_of_day(first_day(round));
        let mut of_round: Vec<NewEvent> = (0..SALES_OF_A_ROUND)
            .map(|number| {
                let day = TimeDelta::days((dice.below(DAYS_OF_A_ROUND)) as i64);
                // On the boundary, just before the next, or anywhere in the day.
                let into_day = match dice.below(3) {
                    0 => TimeDelta::zero(),
                    1 => TimeDelta::days(1) - TimeDelta::microseconds(1),
                    _ => TimeDelta::seconds(dice.below(86_400) as i64),
                };
                let seller = model.ids[dice.below(20) as usize];
                sale_at(&format!("{round}-{number}"), seller, midnight + day + into_day, &utc)
            })
            .collect();
        record_all(&world, &of_round).await;
        // Roughly in order of time, so that a change may still come before the later half.
        of_round.sort_unstable_by_key(|sale| sale.facts.occurred_at);
        let ids: Vec<Uuid> = of_round.iter().map(|sale| sale.id).collect();
        sales.append(&mut of_round);

        // Every third change surely comes before the round is settled, every third begins after it.
        let change = Turn::draw(round, &mut dice);
        if round % 3 == 0 {
            change.make(&world, &utc, &mut made, &mut retired, &mut refused).await;
        }
        let mut ringer = world.ringer();
        let ring = async {
            for chunk in ids.chunks(5) {
                ringer.publish(chunk).await.unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if round % 3 == 0 {
            ring.await;
        } else {
            tokio::join!(ring, change.make(&world, &utc, &mut made, &mut retired, &mut refused));
        }
    }
    world.wait_until_settled().await;
    println!("{made} versions, {retired} retirements, {refused} refused");
    assert!(
        made > 9 && retired > 1,
        "a race about nothing: {made} versions, {retired} retirements"
    );

    let mut conn = world.owner.acquire().await.unwrap();
    let book = plans::rule_book(&mut conn).await.unwrap();
    let expected_number = |sale: &NewEvent| {
        let version = book.version_at(SourceType::Product, sale.facts.occurred_at).unwrap();
        (sale.id, version.number)
    };
    let expected: BTreeMap<Uuid, i32> = sales.iter().map(expected_number).collect();
    let query = "select event_id, plan_id from commission_outcomes";
    let outcomes: Vec<(Uuid, i32)> = sqlx::query_as(query).fetch_all(&world.owner).await.unwrap();
    assert_eq!(outcomes.into_iter().collect::<BTreeMap<_, _>>(), expected);
    let used: BTreeSet<i32> = expected.values().copied().collect();
    assert!(used.len() > 5, "few versions priced anything: {used:?}");
    let mut lines: Vec<LedgerRow> = sales
        .iter()
        .flat_map(|sale| model.lines(sale, &book.version(expected[&sale.id]).unwrap().rule_set))
        .collect();
    lines.sort_unstable();
    assert_eq!(ledger(&world.owner).await, lines);
    assert_eq!(count(&world, "select count(*) from event_failures").await, 0);
}

/// A change of the rules in some round.
struct Turn {
    /// A version of the shop's plan, or its retirement.
    version: Option<String>,
    day: NaiveDate,
    /// How long the sales of the round are ahead of it.
    wait: Duration,
    hesitation: Duration,
}

impl Turn {
    fn draw(round: u32, dice: &mut Dice) -> Self {
        let day = match round % 3 {
            2 => first_day(round + 1),
            _ => first_day(round) + chrono::Days::new(dice.below(DAYS_OF_A_ROUND)),
        };
        let percentage = format!("{}.{:02}", 3 + round % 10, round);
        let version = plan(
            "shop",
            &format!("round-{round}"),
            &day.to_string(),
            "source_types: [PRODUCT]",
            &percentage,
        );
        let version = (round == 0 || !round.is_multiple_of(4)).then_some(version);
        let ahead = if round % 3 == 1 { dice.below(25) } else { 0 };
        let [wait, hesitation] = [ahead, dice.below(20)].map(Duration::from_millis);
        Self { version, day, wait, hesitation }
    }

    async fn make(
        &self,
        world: &World,
        programme: &Programme,
        made: &mut u32,
        retired: &mut u32,
        refused: &mut u32,
    ) {
        tokio::time::sleep(self.wait).await;
        match &self.version {
            Some(yaml) => match apply(world, yaml, programme, self.hesitation).await {
                Ok(_) => *made += 1,
                Err(ApplyError::Repricing { .. } | ApplyError::Conflict(_)) => *refused += 1,
                Err(error) => panic!("{error}"),
            },
            None => match retire(world, "shop", programme.start_of_day(self.day)).await {
                Ok(_) => *retired += 1,
                Err(RetireError::Repricing { .. } | RetireError::CannotRetire(_)) => *refused += 1,
                Err(error @ RetireError::Store(_)) => panic!("{error}"),
            },
        }
    }
}
