//! Attempts: who counts them, what begins them anew, and what is not attempted at all.

use domain::member::MemberStatus;
use sqlx::AssertSqlSafe;
use store::dead_letters::{self, Order};
use store::failures::{self, FailedAttempt};
use store::testing::World;
use uuid::Uuid;

use crate::network::{
    Dice, LADDER, Member, Model, PLAN, count, enrol, ledger, member_id, new_sale, post, record,
};
use crate::outages::metric;

const ORDER: Order<'static> =
    Order { actor: "key:test", on_behalf_of: None, reason: "a test order" };

fn attempt(event_id: Uuid, attempts_before: i32) -> FailedAttempt {
    FailedAttempt {
        event_id,
        attempts_before,
        cause: "unknown_member",
        error: "not enrolled".to_owned(),
        awaited_member_id: Some(member_id(77)),
        retry_after_seconds: Some(3600.0),
    }
}

async fn execute(world: &World, statement: &str) {
    let statement = AssertSqlSafe(statement.to_owned());
    sqlx::raw_sql(statement).execute(&world.owner).await.unwrap();
}

/// Two workers try the same event at the same time: one attempt is counted.
#[tokio::test]
async fn of_two_attempts_at_the_same_time_one_is_counted() {
    let world = World::new().await;
    let sale = new_sale("1", member_id(77), "100");
    record(&world, std::slice::from_ref(&sale)).await;
    for attempts_before in 0..3 {
        let mut first = world.owner.begin().await.unwrap();
        let mut second = world.owner.begin().await.unwrap();
        assert!(failures::record(&mut first, &attempt(sale.id, attempts_before)).await.unwrap());
        let waiting = tokio::spawn(async move {
            let attempt = attempt(sale.id, attempts_before);
            let recorded = failures::record(&mut second, &attempt).await.unwrap();
            second.commit().await.unwrap();
            recorded
        });
        first.commit().await.unwrap();
        assert!(!waiting.await.unwrap(), "the second saw that the first had counted");
        let attempts = count(&world, "select attempts::bigint from event_failures").await;
        assert_eq!(attempts, i64::from(attempts_before) + 1);
    }
}

/// The schedule is configuration, and ends in a dead letter.
#[tokio::test]
async fn an_event_is_tried_as_often_as_the_schedule_says() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    world.plan(PLAN).await;
    post(&world, &[new_sale("1", member_id(77), "100")]).await;
    let worker = world.worker(&["--sweep-every", "1", "--retry-after", "0,1"]);
    let dead = "select exists (select from event_failures where state = 'dead' and attempts = 3)";
    world.wait_until("the third failure made it a dead letter", dead).await;
    assert_eq!(metric(&worker, "lineage_events_retried_total", "unknown_member").await, 2);
    assert_eq!(metric(&worker, "lineage_events_dead_lettered_total", "unknown_member").await, 1);
}

/// An attempt fails while the enrolment commits, and neither sees the other; the last attempt makes
/// a dead letter of it at that moment. The sweep's next short pass repairs both.
#[tokio::test]
async fn what_failed_while_its_member_was_enrolled_is_revived_by_the_sweep() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    let rules = world.plan(PLAN).await;
    let mut model = Model::enrol(&world, 3, &mut Dice::new(71)).await;
    // The worker's first pass looks at everything; what follows are short ones.
    let _worker = world.worker(&["--sweep-every", "1"]);
    let sales = [new_sale("waits", member_id(77), "100"), new_sale("dead", member_id(77), "50")];
    record(&world, &sales).await;

    let mut failing = world.owner.begin().await.unwrap();
    failures::record(&mut failing, &attempt(sales[0].id, 0)).await.unwrap();
    let last = FailedAttempt { retry_after_seconds: None, ..attempt(sales[1].id, 0) };
    failures::record(&mut failing, &last).await.unwrap();
    let member = Member { sponsor: Some(model.ids[2]), rank: 0, status: MemberStatus::Active };
    let mut enrolling = world.owner.begin().await.unwrap();
    enrol(&mut enrolling, member_id(77), member).await;
    enrolling.commit().await.unwrap();
    failing.commit().await.unwrap();

    world.wait_until_settled().await;
    model.members.insert(member_id(77), member);
    let mut expected: Vec<_> = sales.iter().flat_map(|sale| model.lines(sale, &rules)).collect();
    expected.sort_unstable();
    assert_eq!(ledger(&world.owner).await, expected);
    assert_eq!(count(&world, "select count(*) from event_failures").await, 0);
}

/// A stale or forged entry for an event that is not to be attempted now: acknowledged, counted by
/// its reason, and not attempted.
#[tokio::test]
async fn entries_of_events_that_are_not_to_be_attempted_are_acknowledged_and_counted() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    world.plan(PLAN).await;
    let model = Model::enrol(&world, 3, &mut Dice::new(72)).await;
    let seller = model.ids[2];
    let names = ["settled", "dead", "discarded", "not-due"];
    let sales = names.map(|name| new_sale(name, seller, "100"));
    // All is as it should be before a worker begins: its first sweep settles what it finds unsettled.
    record(&world, &sales[1..]).await;
    let mut conn = world.owner.begin().await.unwrap();
    for sale in &sales[1..] {
        let failed = FailedAttempt { awaited_member_id: None, ..attempt(sale.id, 0) };
        assert!(failures::record(&mut conn, &failed).await.unwrap());
    }
    sqlx::query(
        "update event_failures set state = 'dead', next_attempt_at = null, attempts = 4 \
                 where event_id = $1",
    )
    .bind(sales[1].id)
    .execute(&mut *conn)
    .await
    .unwrap();
    let ids = [sales[2].id];
    dead_letters::discard(&mut conn, &ids, &ORDER).await.unwrap().unwrap();
    conn.commit().await.unwrap();
    post(&world, &sales[..1]).await;
    let worker = world.worker(&["--sweep-every", "86400"]);
    world.wait_until("one is settled", "select count(*) = 1 from commission_outcomes").await;
    let as_they_are = "select coalesce(string_agg(f::text, ';' order by event_id), '') \
                       from event_failures f";
    let before: String = sqlx::query_scalar(as_they_are).fetch_one(&world.owner).await.unwrap();

    let mut ringer = world.ringer();
    let forged = [Uuid::from_u128(1), Uuid::from_u128(2)];
    let entries: Vec<Uuid> = sales.iter().map(|sale| sale.id).chain(forged).collect();
    let settled_before = metric(&worker, "lineage_events_skipped_total", "settled_before").await;
    ringer.publish(&entries).await.unwrap();
    while ringer.length().await.unwrap() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    for (why, events) in
        [("dead", 1), ("discarded", 1), ("not_due", 1), ("unknown", 2), ("settled_before", 1)]
    {
        let label = format!("\"{why}\"");
        let before = if why == "settled_before" { settled_before } else { 0 };
        let counted = metric(&worker, "lineage_events_skipped_total", &label).await;
        // More, if the acknowledgement was late and they were delivered again.
        assert!(counted >= before + events, "{why}: {counted}");
    }
    let after: String = sqlx::query_scalar(as_they_are).fetch_one(&world.owner).await.unwrap();
    assert_eq!(after, before, "no attempt was made");
    assert_eq!(count(&world, "select count(*) from commission_outcomes").await, 1);

    // The discarded one can still be retried, and then it is settled.
    let mut conn = world.owner.begin().await.unwrap();
    let retried = dead_letters::retry(&mut conn, &ids).await.unwrap().unwrap();
    conn.commit().await.unwrap();
    ringer.publish(&retried).await.unwrap();
    world.wait_until("it is settled", "select count(*) = 2 from commission_outcomes").await;
}

/// Another worker's attempt may fail while an event is settled: its failure must not be published
/// for ever.
#[tokio::test]
async fn a_failure_of_a_settled_event_is_forgotten_at_its_next_delivery() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    world.plan(PLAN).await;
    let model = Model::enrol(&world, 3, &mut Dice::new(73)).await;
    let sale = new_sale("1", model.ids[2], "100");
    post(&world, std::slice::from_ref(&sale)).await;
    let _worker = world.worker(&["--sweep-every", "1"]);
    world.wait_until_settled().await;
    let left = format!(
        "insert into event_failures (event_id, state, cause, attempts, next_attempt_at, last_error)
         values ('{}', 'retrying', 'unknown_member', 1, now(), 'not enrolled')",
        sale.id
    );
    execute(&world, &left).await;
    let gone = "select not exists (select from event_failures)";
    world.wait_until("the failure is forgotten", gone).await;
}

/// What is stored damaged of one event concerns that event alone: its neighbours are settled, and it
/// is tried again by the schedule, because a newer worker may be able to read it.
#[tokio::test]
async fn an_event_that_cannot_be_read_does_not_stop_its_neighbours() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    world.plan(PLAN).await;
    let model = Model::enrol(&world, 3, &mut Dice::new(74)).await;
    let sales: Vec<_> = (0..30).map(|n| new_sale(&n.to_string(), model.ids[2], "100")).collect();
    // As a newer version would write it, or damage: a currency that no version reads.
    execute(
        &world,
        "do $$ declare c text; begin
           for c in select conname from pg_constraint
                     where conrelid = 'events'::regclass and contype = 'c' loop
             execute format('alter table events drop constraint %I', c);
           end loop;
         end $$",
    )
    .await;
    record(&world, &sales).await;
    execute(
        &world,
        "alter table events disable trigger user;
         update events set currency = 'e?r' where external_id = '17';
         alter table events enable trigger user",
    )
    .await;
    let ids: Vec<Uuid> = sales.iter().map(|sale| sale.id).collect();
    world.ringer().publish(&ids).await.unwrap();
    let worker = world.worker(&["--sweep-every", "1", "--retry-after", "1"]);
    let others = "select count(*) = 29 from commission_outcomes";
    world.wait_until("the neighbours are settled", others).await;
    let dead = "select count(*) = 1 from event_failures f join events e on e.id = f.event_id
                 where e.external_id = '17' and f.state = 'dead' and f.cause = 'damaged_data'
                   and f.attempts = 2";
    world.wait_until("it is a dead letter in the end", dead).await;
    assert_eq!(count(&world, "select count(*) from event_failures").await, 1);
    assert_eq!(metric(&worker, "lineage_errors_unclassified_total", "").await, 0);
}

/// An error that nobody has thought of is nobody's fault: no attempt is counted, it is waited out,
/// and it is counted apart.
#[tokio::test]
async fn an_unknown_error_is_waited_out_and_counted_apart() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    world.plan(PLAN).await;
    let model = Model::enrol(&world, 3, &mut Dice::new(75)).await;
    execute(
        &world,
        "create function invented() returns trigger language plpgsql as
           $$ begin raise exception 'no such thing' using errcode = 'ZZ999'; end $$;
         create trigger invented before insert on commission_outcomes
           for each statement execute function invented()",
    )
    .await;
    post(&world, &[new_sale("1", model.ids[2], "100")]).await;
    let worker = world.worker(&[]);
    while metric(&worker, "lineage_errors_unclassified_total", "").await < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(count(&world, "select count(*) from event_failures").await, 0);
    execute(&world, "drop trigger invented on commission_outcomes").await;
    world.wait_until_settled().await;
}

/// A right that is missing is an operator's to mend: every event waits, none is blamed.
#[tokio::test]
async fn a_missing_right_is_waited_out() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    world.plan(PLAN).await;
    let model = Model::enrol(&world, 3, &mut Dice::new(76)).await;
    execute(&world, "revoke insert on commission_outcomes from lineage_worker").await;
    post(&world, &[new_sale("1", model.ids[2], "100")]).await;
    let worker = world.worker(&[]);
    while metric(&worker, "lineage_errors_total", "infrastructure").await < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(count(&world, "select count(*) from event_failures").await, 0);
    assert_eq!(metric(&worker, "lineage_errors_unclassified_total", "").await, 0);
    execute(&world, "grant insert on commission_outcomes to lineage_worker").await;
    world.wait_until_settled().await;
}

/// The pool's state is there to be watched.
#[tokio::test]
async fn a_worker_shows_its_pool() {
    let world = World::new().await;
    let worker = world.worker(&[]);
    while metric(&worker, "lineage_pool_connections", "").await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let idle = metric(&worker, "lineage_pool_idle_connections", "").await;
    assert!(idle <= 5, "{idle}");
}
