//! Applying plans, ladders and the calendar: what was applied never changes, and nothing that is
//! settled is priced again.

use domain::ladder::Ladder;
use domain::period::Programme;
use domain::plan::PlanFile;
use domain::rule_set::RuleSet;
use store::enrolment::{self, NewMember};
use store::plans::{self, Application, Applied, ApplyError};
use store::programme::{self, ProgrammeError, RanksError};
use store::testing::World;
use uuid::Uuid;

fn rule_set(percentage: &str, valid_from: &str) -> RuleSet {
    let yaml = format!(
        "plan: p\nversion: '{percentage}'\nvalid_from: {valid_from}\nrules:\n  - id: r\n    \
         component: c\n    calculation: {{type: unilevel, levels: [{{level: 1, percentage: \
         '{percentage}'}}]}}"
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
    let id = Uuid::from_u128(1);
    sqlx::query(
        "with event as (insert into events (id, member_id, occurred_at, recorded_at, \
           earned_period, event_type, source_type, currency, source, external_id, amount, volume) \
         values ($1, $1, '2026-06-15T12:00:00Z', now(), '2026-06-01', 'SALE', 'PRODUCT', 'EUR', \
           's', 'x', 1, 1)) \
         insert into commission_outcomes (event_id, plan_id, semantics, lines, breakage, inputs) \
         values ($1, 1, 1, 0, 0, '')",
    )
    .bind(id)
    .execute(&world.owner)
    .await
    .unwrap();
    let refused = apply(&world, &rule_set("6", "2026-06-15")).await.unwrap_err();
    assert!(matches!(refused, ApplyError::Repricing { settled: 1, .. }), "{refused}");
    apply(&world, &rule_set("7", "2026-06-16")).await.unwrap();
    // Between two versions that settled sales lie behind: only the time until the next counts.
    apply(&world, &rule_set("8", "2026-06-20")).await.unwrap();
    let refused = apply(&world, &rule_set("9", "2026-03-01")).await.unwrap_err();
    assert!(matches!(refused, ApplyError::Repricing { .. }), "{refused}");
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
