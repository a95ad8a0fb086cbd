//! Applying plans, ladders and the calendar: what was applied never changes, and nothing that is
//! settled is priced again.

use domain::ladder::Ladder;
use domain::period::Programme;
use domain::plan::PlanFile;
use domain::rule_book::Retirement;
use domain::rule_set::RuleSet;
use domain::sale::SourceType;
use store::enrolment::{self, NewMember};
use store::plans::{
    self, Application, Applied, ApplyError, Repricing, Retire, RetireError, Retired,
};
use store::programme::{self, ProgrammeError, RanksError};
use store::testing::World;
use uuid::Uuid;

fn rule_set(percentage: &str, valid_from: &str) -> RuleSet {
    paying("", percentage, valid_from)
}

/// A version that pays only what `source_types` says, as it stands in the file.
fn paying(source_types: &str, percentage: &str, valid_from: &str) -> RuleSet {
    let yaml = format!(
        "plan: p\nversion: '{percentage}'\n{source_types}\nvalid_from: {valid_from}\nrules:\n  - \
         id: r\n    component: c\n    calculation: {{type: unilevel, levels: [{{level: 1, \
         percentage: '{percentage}'}}]}}"
    );
    let ladder = Ladder::new(vec!["MEMBER".to_owned()]).unwrap();
    RuleSet::compile(&PlanFile::from_yaml(&yaml).unwrap(), &ladder, &Programme::default()).unwrap()
}

async fn apply(world: &World, rule_set: &RuleSet) -> Result<Applied, ApplyError> {
    let mut tx = world.pool_as(store::database::Role::Ops).begin().await.unwrap();
    let application =
        Application { rule_set, file_hash: [7; 32], applied_by: "test", reason: "test" };
    let applied = plans::apply(&mut tx, &application).await?;
    tx.commit().await.unwrap();
    Ok(applied)
}

/// A sale that the first version of plan `p` has priced.
async fn settled_sale(world: &World, number: u128, source_type: &str, occurred_at: &str) {
    sqlx::query(
        "with event as (insert into events (id, member_id, occurred_at, recorded_at, \
           earned_period, event_type, source_type, currency, source, external_id, amount, volume) \
         values ($1, $1, $3::timestamptz, now(), '2026-06-01', 'SALE', $2::source_type, 'EUR', \
           's', $1::text, 1, 1)) \
         insert into commission_outcomes (event_id, plan_id, semantics, lines, breakage, inputs) \
         values ($1, 1, 1, 0, 0, '')",
    )
    .bind(Uuid::from_u128(number))
    .bind(source_type)
    .bind(occurred_at)
    .execute(&world.owner)
    .await
    .unwrap();
}

async fn retire(world: &World, plan: &str, from: &str) -> Result<Retired, RetireError> {
    let retirement = Retirement { plan: plan.to_owned(), from: from.parse().unwrap() };
    let order = Retire { retirement: &retirement, retired_by: "test", reason: "test" };
    let mut tx = world.pool_as(store::database::Role::Ops).begin().await.unwrap();
    let retired = plans::retire(&mut tx, &order).await?;
    tx.commit().await.unwrap();
    Ok(retired)
}

/// The count, the first and the last of the sales in the way.
fn sales(repricing: Repricing) -> (i64, String, String) {
    let Repricing { settled, first, last } = repricing;
    (settled, first.to_rfc3339(), last.to_rfc3339())
}

#[tokio::test]
async fn l4_a_version_is_known_by_its_content() {
    let world = World::new().await;
    let version = rule_set("5", "2026-01-01");
    let Applied::New { number, .. } = apply(&world, &version).await.unwrap() else { panic!() };
    let again = apply(&world, &version).await.unwrap();
    assert!(matches!(again, Applied::Already { number: known } if known == number));
    let changed = apply(&world, &rule_set("6", "2026-01-01")).await.unwrap_err();
    assert!(matches!(changed, ApplyError::Conflict(_)), "{changed}");
    let mut conn = world.owner.acquire().await.unwrap();
    let book = plans::rule_book(&mut conn).await.unwrap();
    assert_eq!(book.versions().len(), 1);
    assert_eq!(book.version(number).unwrap().rule_set, version);
}

/// L8: a version that begins before a settled sale would have priced it otherwise.
#[tokio::test]
async fn l8_no_version_is_applied_over_settled_sales() {
    let world = World::new().await;
    apply(&world, &rule_set("5", "2026-01-01")).await.unwrap();
    settled_sale(&world, 1, "PRODUCT", "2026-06-15T12:00:00Z").await;
    let refused = apply(&world, &rule_set("6", "2026-06-15")).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "plan p version 6 would reprice 1 settled sale(s), the first of 2026-06-15 12:00:00 UTC, the \
         last of 2026-06-15 12:00:00 UTC; what was settled stays true: let it begin on a day after that"
    );
    apply(&world, &rule_set("7", "2026-06-16")).await.unwrap();
    // Between two versions that settled sales lie behind: only the time until the next counts.
    apply(&world, &rule_set("8", "2026-06-20")).await.unwrap();
    let refused = apply(&world, &rule_set("9", "2026-03-01")).await.unwrap_err();
    assert!(matches!(refused, ApplyError::Repricing { .. }), "{refused}");
}

/// L8: a successor prices what it names; what it drops goes to another plan or to none, and must not
/// be settled either.
#[tokio::test]
async fn l8_no_settled_sale_is_left_to_another_plan_or_to_none() {
    let world = World::new().await;
    let both = "source_types: [PRODUCT, INVESTMENT]";
    apply(&world, &paying(both, "5", "2026-01-01")).await.unwrap();
    settled_sale(&world, 1, "INVESTMENT", "2026-06-14T23:59:59.999999Z").await;
    settled_sale(&world, 2, "INVESTMENT", "2026-06-15T00:00:00Z").await;
    settled_sale(&world, 3, "INVESTMENT", "2026-06-15T08:00:00Z").await;
    let (first, last) = ("2026-06-15T00:00:00+00:00", "2026-06-15T08:00:00+00:00");
    let expected = (2, first.to_owned(), last.to_owned());

    let product = "source_types: [PRODUCT]";
    let refused = apply(&world, &paying(product, "6", "2026-06-15")).await.unwrap_err();
    let ApplyError::Repricing { plan, version, repricing } = refused else { panic!("{refused}") };
    assert_eq!((plan.as_str(), version.as_str()), ("p", "6"));
    assert_eq!(sales(repricing), expected);
    let refused = retire(&world, "p", "2026-06-15T00:00:00Z").await.unwrap_err();
    let RetireError::Repricing { plan, repricing, .. } = refused else { panic!("{refused}") };
    assert_eq!((plan.as_str(), sales(repricing)), ("p", expected));

    // From the next day on nothing is settled.
    apply(&world, &paying(product, "6", "2026-06-16")).await.unwrap();
    // Investments are nobody's then, and were nobody's before: the plan for all may take them.
    let general = RuleSet { plan: "general".to_owned(), ..rule_set("1", "2026-01-01") };
    apply(&world, &general).await.unwrap();
}

/// A retirement is recorded once, moves the generation by which workers know their rules, and leaves
/// what had begun before as it was.
#[tokio::test]
async fn a_retirement_is_in_the_book_and_moves_the_generation() {
    let world = World::new().await;
    apply(&world, &rule_set("5", "2026-01-01")).await.unwrap();
    settled_sale(&world, 1, "PRODUCT", "2026-06-15T00:00:00Z").await;
    let mut conn = world.owner.acquire().await.unwrap();
    let before = plans::generation(&mut conn).await.unwrap();
    let from = "2026-06-15T00:00:00.000001Z";
    assert_eq!(retire(&world, "p", from).await.unwrap(), Retired::New { revived: vec![] });
    let after = plans::generation(&mut conn).await.unwrap();
    assert_ne!(before, after);
    assert_eq!(retire(&world, "p", from).await.unwrap(), Retired::Already);
    assert_eq!(plans::generation(&mut conn).await.unwrap(), after);
    for (plan, from) in [("q", from), ("p", "2026-08-01T00:00:00Z"), ("p", "2026-01-01T00:00:00Z")]
    {
        let refused = retire(&world, plan, from).await.unwrap_err();
        assert!(matches!(refused, RetireError::CannotRetire(_)), "{refused}");
    }
    let book = plans::rule_book(&mut conn).await.unwrap();
    let at = |text: &str| book.version_at(SourceType::Product, text.parse().unwrap());
    assert!(at("2026-06-15T00:00:00Z").is_some());
    assert!(at(from).is_none());

    // A version that comes back is another version, and moves the generation again.
    apply(&world, &rule_set("6", "2026-09-01")).await.unwrap();
    assert_ne!(plans::generation(&mut conn).await.unwrap(), after);
    let listed = plans::retirements(&mut conn).await.unwrap();
    let [only] = listed.as_slice() else { panic!("{listed:?}") };
    let who = (only.plan.as_str(), only.retired_by.as_str(), only.reason.as_str());
    assert_eq!(who, ("p", "test", "test"));
    assert_eq!(only.from, from.parse::<chrono::DateTime<chrono::Utc>>().unwrap());
}

#[tokio::test]
async fn the_ladder_is_free_until_somebody_stands_on_it() {
    let world = World::new().await;
    let set = async |names: &[&str]| {
        let ladder = Ladder::new(names.iter().map(ToString::to_string).collect()).unwrap();
        let mut tx = world.pool_as(store::database::Role::Ops).begin().await.unwrap();
        programme::set_ladder(&mut tx, &ladder).await?;
        tx.commit().await.unwrap();
        Ok::<_, RanksError>(())
    };
    set(&["PARTNER", "LEADER", "CHIEF"]).await.unwrap();
    set(&["PARTNER", "LEADER"]).await.unwrap();
    let member = NewMember {
        id: Uuid::from_u128(1),
        external_id: None,
        name: None,
        sponsor_id: None,
        status: domain::member::MemberStatus::Active,
        rank: domain::ladder::Rank(1),
        joined_at: None,
    };
    let mut tx = world.owner.begin().await.unwrap();
    enrolment::enrol(&mut tx, &member, "test").await.unwrap();
    tx.commit().await.unwrap();
    set(&["PARTNER", "LEADER", "BOSS"]).await.unwrap();
    assert!(matches!(set(&["LEADER", "PARTNER", "BOSS"]).await, Err(RanksError::Ladder(_))));
    let mut conn = world.owner.acquire().await.unwrap();
    assert_eq!(programme::ladder(&mut conn).await.unwrap().names(), ["PARTNER", "LEADER", "BOSS"]);
}

#[tokio::test]
async fn the_calendar_is_fixed_by_the_first_event() {
    let world = World::new().await;
    let prague = Programme {
        time_zone: Programme::parse_time_zone("Europe/Prague").unwrap(),
        ..Programme::default()
    };
    let set = async |programme: &Programme| {
        let mut tx = world.pool_as(store::database::Role::Ops).begin().await.unwrap();
        programme::set(&mut tx, programme).await?;
        tx.commit().await.unwrap();
        Ok::<_, ProgrammeError>(())
    };
    set(&prague).await.unwrap();
    sqlx::query(
        "insert into events (id, member_id, occurred_at, recorded_at, earned_period, event_type, \
         source_type, currency, source, external_id, amount, volume) values (gen_random_uuid(), \
         gen_random_uuid(), now(), now(), '2026-11-01', 'SALE', 'PRODUCT', 'EUR', 's', 'x', 1, 1)",
    )
    .execute(&world.owner)
    .await
    .unwrap();
    set(&prague).await.expect("the same again");
    assert!(matches!(set(&Programme::default()).await, Err(ProgrammeError::InUse(_))));
    let mut conn = world.owner.acquire().await.unwrap();
    assert_eq!(programme::get(&mut conn).await.unwrap(), prague);
}

/// What a version prices is what it revives: sales of other times keep waiting, with their attempts.
#[tokio::test]
async fn a_version_revives_the_sales_that_it_prices_and_no_others() {
    let world = World::new().await;
    let waiting = |number: u128, source_type: &'static str, occurred_at: &'static str| {
        sqlx::query(
            "with event as (insert into events (id, member_id, occurred_at, recorded_at, \
               earned_period, event_type, source_type, currency, source, external_id, amount, volume) \
             values ($1, $1, $3::timestamptz, now(), '2026-06-01', 'SALE', $2::source_type, 'EUR', \
               's', $1::text, 1, 1)) \
             insert into event_failures (event_id, state, cause, attempts, last_error) \
             values ($1, 'dead', 'no_plan', 4, 'x')",
        )
        .bind(Uuid::from_u128(number))
        .bind(source_type)
        .bind(occurred_at)
    };
    for (number, source_type, occurred_at) in [
        (1, "PRODUCT", "2026-05-31T23:59:59.999999Z"),
        (2, "PRODUCT", "2026-06-01T00:00:00Z"),
        (3, "INVESTMENT", "2026-06-01T00:00:00Z"),
        (4, "PRODUCT", "2026-07-01T00:00:00Z"),
    ] {
        waiting(number, source_type, occurred_at).execute(&world.owner).await.unwrap();
    }
    let revived = |applied| match applied {
        Applied::New { mut revived, .. } => {
            revived.sort_unstable();
            revived
        }
        Applied::Already { .. } => panic!("it is new"),
    };
    let later = apply(&world, &paying("", "5", "2026-07-01")).await.unwrap();
    assert_eq!(revived(later), [Uuid::from_u128(4)]);
    let june = apply(&world, &paying("source_types: [PRODUCT]", "6", "2026-06-01")).await.unwrap();
    assert_eq!(revived(june), [Uuid::from_u128(2)], "neither May's nor the investment");
    let query = "select event_id, attempts from event_failures where state = 'dead' order by 1";
    let dead: Vec<(Uuid, i32)> = sqlx::query_as(query).fetch_all(&world.owner).await.unwrap();
    assert_eq!(dead, [(Uuid::from_u128(1), 4), (Uuid::from_u128(3), 4)]);
}
