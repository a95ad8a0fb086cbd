//! Who may do what to failed events: the worker counts attempts, operators retry and discard.

use sqlx::AssertSqlSafe;
use store::actions::{self, Action, ActionResult};
use store::database::Role;
use store::dead_letters::{self, Order};
use store::failures::{self, FailedAttempt};
use store::testing::World;
use store::{PgPool, StoreError};
use uuid::Uuid;

/// The SQLSTATE by which a role's statement is refused; `None`: it was done.
async fn refused(pool: &PgPool, statement: &str) -> Option<String> {
    let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(pool).await;
    done.err().and_then(|error| StoreError::from(error).sqlstate())
}

#[tokio::test]
async fn the_worker_counts_attempts_and_cannot_discard() {
    let world = World::new().await;
    let worker = world.pool_as(Role::Worker);
    let event_id = Uuid::from_u128(1);
    let failed = FailedAttempt {
        event_id,
        attempts_before: 0,
        cause: "no_plan",
        error: "no plan".to_owned(),
        awaited_member_id: None,
        retry_after_seconds: None,
    };
    let mut conn = worker.acquire().await.unwrap();
    assert!(failures::record(&mut conn, &failed).await.unwrap());
    for statement in [
        "update event_failures set discard_reason = 'x'",
        "update event_failures set discarded_by = 'key:x'",
        "insert into event_failures (event_id, state, cause, attempts, last_error, discard_reason)
         values (gen_random_uuid(), 'dead', 'x', 1, 'x', 'x')",
    ] {
        assert_eq!(refused(&worker, statement).await.as_deref(), Some("42501"), "{statement}");
    }
    // Nobody can, without saying who and why.
    let silent = "update event_failures set state = 'discarded'";
    for role in [Role::Worker, Role::Ingest, Role::Ops] {
        let code = refused(&world.pool_as(role), silent).await;
        assert_eq!(code.as_deref(), Some("23514"), "{role:?}");
    }
    for (role, statement) in [
        (Role::Ingest, "update event_failures set cause = 'x'"),
        (Role::Ops, "update event_failures set last_error = 'x'"),
        (Role::Ingest, "delete from event_failures"),
        (Role::Ops, "delete from event_failures"),
        (Role::Ops, "insert into event_failures (event_id) values (gen_random_uuid())"),
    ] {
        let code = refused(&world.pool_as(role), statement).await;
        assert_eq!(code.as_deref(), Some("42501"), "{statement}");
    }
}

/// Ingest's and the operator's roles have what retrying and discarding need, and no more is needed.
#[tokio::test]
async fn ingest_and_operators_can_retry_and_discard() {
    let world = World::new().await;
    let event_id = Uuid::from_u128(2);
    sqlx::query(
        "insert into events (id, source, external_id, event_type, member_id, amount, volume, currency,
                             source_type, occurred_at, recorded_at, earned_period)
         values ($1, 'shop', 'x', 'SALE', $1, 1, 1, 'EUR', 'PRODUCT', now(), now(), '2026-11-01')",
    )
    .bind(event_id)
    .execute(&world.owner)
    .await
    .unwrap();
    let failed = FailedAttempt {
        event_id,
        attempts_before: 0,
        cause: "no_plan",
        error: "no plan".to_owned(),
        awaited_member_id: None,
        retry_after_seconds: None,
    };
    let mut conn = world.owner.acquire().await.unwrap();
    assert!(failures::record(&mut conn, &failed).await.unwrap());
    // Ingest speaks for keys, a command line for its own login.
    let login: String =
        sqlx::query_scalar("select session_user::text").fetch_one(&world.owner).await.unwrap();
    let login = format!("role:{login}");
    for (role, actor) in [(Role::Ingest, "key:test"), (Role::Ops, login.as_str())] {
        let order = Order { actor, on_behalf_of: None, reason: "no" };
        let discard = Action {
            actor: order.actor,
            on_behalf_of: None,
            action: "dead_letter.discard",
            subject: None,
            arguments: actions::digest_of(b""),
            result: ActionResult::Done,
            detail: Some(order.reason),
        };
        let pool = world.pool_as(role);
        let mut tx = pool.begin().await.unwrap();
        let discarded = dead_letters::discard(&mut tx, &[event_id], &order).await.unwrap();
        assert_eq!(discarded, Ok(vec![event_id]));
        actions::record(&mut tx, &discard).await.unwrap();
        let retried = dead_letters::retry(&mut tx, &[event_id]).await.unwrap();
        assert_eq!(retried, Ok(vec![event_id]));
        assert!(dead_letters::retry_dead(&mut tx, None).await.unwrap().is_empty());
        tx.commit().await.unwrap();
    }
    let mut conn = world.owner.acquire().await.unwrap();
    let left = dead_letters::find(&mut conn, event_id).await.unwrap().unwrap();
    let by = left.discard.map(|discard| (discard.by, discard.reason));
    assert_eq!((left.state.as_str(), left.attempts), ("retrying", 1));
    assert_eq!(by, Some((login, "no".to_owned())), "it stays with the event");
    let actions: i64 = sqlx::query_scalar("select count(*) from operator_actions")
        .fetch_one(&world.owner)
        .await
        .unwrap();
    assert_eq!(actions, 2, "who retries or discards records it, once");
}
