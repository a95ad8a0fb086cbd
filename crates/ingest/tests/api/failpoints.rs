//! The named place on ingest's way is really passed, and dying there loses nothing.

use std::os::unix::process::ExitStatusExt as _;

use reqwest::Client;
use serde_json::Value;
use store::keys::Scope;
use store::testing::World;

use crate::client::sale;

const SIGKILL: i32 = 9;

/// L2: between commit and publishing, an event is recorded and nobody knows of it. Posted again, it
/// is the same event; a worker's sweep would find it.
#[tokio::test]
async fn l2_dying_between_commit_and_publishing_keeps_the_event() {
    let world = World::new().await;
    let key = world.key(&Scope::ALL).await;
    let http = Client::new();
    let post = |url: String| {
        http.post(format!("{url}/v1/events")).bearer_auth(&key).body(sale("1").to_string()).send()
    };
    let dying = world.failing_ingest(&[("LINEAGE_FAILPOINT", "before_publish:1")], &[]);
    // It may die before or after it has answered.
    let answered = post(dying.url.clone()).await;
    assert_eq!(dying.ended().signal(), Some(SIGKILL), "answered {answered:?}");
    let recorded = "select count(*) from events";
    let events: i64 = sqlx::query_scalar(recorded).fetch_one(&world.owner).await.unwrap();
    assert_eq!(events, 1);
    assert_eq!(world.ringer().length().await.unwrap(), 0, "nobody was told");

    let ingest = world.ingest(&[]);
    let again = post(ingest.url.clone()).await.unwrap();
    assert_eq!(again.status(), 202);
    let again: Value = serde_json::from_str(&again.text().await.unwrap()).unwrap();
    assert_eq!(again["status"], "duplicate");
}
