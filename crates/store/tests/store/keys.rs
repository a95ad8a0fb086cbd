//! Who may read and write what keys consist of.

use store::database::Role;
use store::keys::{self, Scope, signing};
use store::testing::World;

async fn refusal(world: &World, role: Role, statement: &'static str) -> Option<String> {
    let mut tx = world.pool_as(role).begin().await.unwrap();
    let error = sqlx::query(statement).execute(&mut *tx).await.err()?;
    let sqlx::Error::Database(error) = error else { panic!("{statement}: {error}") };
    error.code().map(Into::into)
}

#[tokio::test]
async fn only_ingest_reads_signing_secrets() {
    let world = World::new().await;
    let key = world.key(&[Scope::EventsWrite]).await;
    let id = key.split('_').nth(1).unwrap();
    // Operators make, replace and remove them without reading any.
    let ops = world.pool_as(Role::Ops);
    for rotate in [false, true, true] {
        let mut tx = ops.begin().await.unwrap();
        signing::make(&mut tx, id, rotate).await.unwrap().unwrap();
        tx.commit().await.unwrap();
    }
    let mut conn = ops.acquire().await.unwrap();
    assert_eq!(keys::list(&mut conn).await.unwrap()[0].signing_secrets, 2);
    let key = key.into();
    let ingest = world.pool_as(Role::Ingest);
    let found = keys::authenticate(&ingest, &key).await.unwrap().unwrap();
    assert_eq!(found.signing_secrets.len(), 2);
    // ingest, worker, ops
    for (statement, may) in [
        ("select secret from api_key_signing_secrets", [true, false, false]),
        ("select * from api_key_signing_secrets", [true, false, false]),
        ("select secret::text from api_key_signing_secrets", [true, false, false]),
        ("delete from api_key_signing_secrets where secret is not null", [false; 3]),
        ("delete from api_key_signing_secrets returning secret", [false; 3]),
        ("update api_key_signing_secrets set ends_at = now() returning secret", [false; 3]),
        ("update api_key_signing_secrets set secret = secret", [false; 3]),
        ("select count(*) from api_key_signing_secrets", [true, false, true]),
        ("update api_key_signing_secrets set ends_at = now()", [false, false, true]),
        ("delete from api_key_signing_secrets", [false, false, true]),
        (
            "insert into api_key_signing_secrets (key_id, number, secret) \
          select id, 9, sha256('x') from api_keys",
            [false, false, true],
        ),
        ("select secret_hash from api_key_secrets", [true, false, true]),
        ("select secret_hash from api_key_every_secret", [true, false, true]),
        ("update api_key_secrets set secret_hash = ''", [false; 3]),
        ("delete from api_key_secrets", [false; 3]),
        ("update api_key_secrets set ends_at = now()", [false, false, true]),
        ("update api_keys set secret_ends_at = now()", [false, false, true]),
        ("update api_keys set expires_at = null", [false; 3]),
        ("update api_keys set scopes = '{admin}'", [false; 3]),
        (
            "insert into api_key_secrets (key_id, number, secret_hash) \
          select id, 2, sha256('x') from api_keys",
            [false, false, true],
        ),
        ("insert into api_key_uses select id, 1, now() from api_keys", [true, false, false]),
        ("update api_key_uses set used_at = now()", [true, false, false]),
        ("delete from api_key_uses", [false; 3]),
    ] {
        for (role, may) in [Role::Ingest, Role::Worker, Role::Ops].into_iter().zip(may) {
            let refused = refusal(&world, role, statement).await;
            let expected = if may { None } else { Some("42501") };
            assert_eq!(refused.as_deref(), expected, "{role:?}: {statement}");
        }
    }
}

/// However often two rotate at a time, two secrets work.
#[tokio::test]
async fn rotations_at_the_same_time_leave_two_secrets() {
    use store::keys::rotation::{KeyRefusal, Rotation, rotate};
    let world = World::new().await;
    let key = world.key(&[Scope::Read]).await;
    let id = key.split('_').nth(1).unwrap();
    let pool = world.pool_as(Role::Ops);
    let attempt = async || {
        let mut tx = pool.begin().await.unwrap();
        let rotation = Rotation { grace_hours: 1, drop: None };
        let rotated = rotate(&mut tx, id, rotation).await.unwrap();
        tx.commit().await.unwrap();
        rotated
    };
    let (a, b, c) = tokio::join!(attempt(), attempt(), attempt());
    let results = [a, b, c];
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for refused in results.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, KeyRefusal::TwoActive(_)), "{refused}");
    }
    let active: i64 = sqlx::query_scalar(
        "select count(*) from api_key_every_secret where ends_at is null or ends_at > now()",
    )
    .fetch_one(&world.owner)
    .await
    .unwrap();
    assert_eq!(active, 2);
}

/// A rotation gives the secret in use its grace, and never more time than it had.
#[tokio::test]
async fn a_rotation_never_moves_an_end_later() {
    use store::keys::rotation::{Drop, Rotation, rotate};
    let world = World::new().await;
    let key = world.key(&[Scope::Read]).await;
    let id = key.split('_').nth(1).unwrap();
    let pool = world.pool_as(Role::Ops);
    let rotated = async |grace_hours, drop| {
        let mut tx = pool.begin().await.unwrap();
        let rotated = rotate(&mut tx, id, Rotation { grace_hours, drop }).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        rotated.previous_until
    };
    let first = rotated(2, None).await.unwrap();
    assert_eq!(rotated(48, Some(Drop::Newest)).await, Some(first), "asked for more");
    let sooner = rotated(1, Some(Drop::Newest)).await.unwrap();
    assert!(sooner < first, "asked for less");
    assert!(rotated(48, Some(Drop::Oldest)).await.unwrap() > first, "the newer one had no end");
    assert_eq!(rotated(0, None).await, None);
    let active: Vec<i32> = sqlx::query_scalar(
        "select number from api_key_every_secret where ends_at is null or ends_at > now()",
    )
    .fetch_all(&world.owner)
    .await
    .unwrap();
    assert_eq!(active, [6]);
}
