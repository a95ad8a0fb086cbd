//! Setting up a programme, from an empty database.

use store::testing::World;

async fn lineage(world: &World, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = world.lineage();
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn migrating_twice_is_safe() {
    let world = World::new().await;
    let (code, out, _) = lineage(&world, &["migrate"]).await;
    assert_eq!(code, Some(0));
    assert!(out.contains("up to date"), "{out}");
}

#[tokio::test]
async fn keys_are_shown_once_and_end_when_revoked() {
    let world = World::new().await;
    let (code, key, _) = lineage(&world, &["keys", "create", "shop", "--scopes", "all"]).await;
    assert_eq!(code, Some(0));
    let key = key.trim();
    assert!(key.starts_with("lk_") && !key.contains(char::is_whitespace), "only the key: {key}");
    let (_, listed, _) = lineage(&world, &["keys", "list"]).await;
    let id = key.split('_').nth(1).unwrap();
    assert!(listed.contains(id) && !listed.contains(key), "{listed}");
    assert_eq!(lineage(&world, &["keys", "revoke", id]).await.0, Some(0));
    assert_eq!(lineage(&world, &["keys", "revoke", id]).await.0, Some(1), "ended already");
}

#[tokio::test]
async fn wrong_usage_and_failures_have_their_exit_codes() {
    let world = World::new().await;
    assert_eq!(lineage(&world, &["no-such-command"]).await.0, Some(2));
    assert_eq!(lineage(&world, &["plan", "check", "/no/such/file.yaml"]).await.0, Some(1));
    let zone = ["program", "set", "--time-zone", "Europe/Nowhere", "--period", "month"];
    let (code, _, said) = lineage(&world, &zone).await;
    assert_ne!(code, Some(0));
    assert!(said.contains("Europe/Nowhere"), "{said}");
    let zone = ["program", "set", "--time-zone", "Europe/Prague", "--period", "month"];
    assert_eq!(lineage(&world, &zone).await.0, Some(0));
    let (_, shown, _) = lineage(&world, &["program", "show"]).await;
    assert!(shown.contains("Europe/Prague"), "{shown}");
}
