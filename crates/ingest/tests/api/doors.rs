//! Keys with two secrets, with an end, with a limit; who guesses; and which port serves what.

use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder, Response};
use secrecy::ExposeSecret as _;
use store::keys::rotation::{self, Drop, KeyRefusal, Rotation};
use store::keys::{self, Limits, Scope};
use store::testing::{Process, World};

use crate::client::{Api, answer, sale};

fn read(ingest: &Process, key: &str) -> RequestBuilder {
    Client::new().get(format!("{}/v1/outcomes", ingest.url)).bearer_auth(key)
}

async fn status(ingest: &Process, key: &str) -> u16 {
    answer(read(ingest, key)).await.0
}

/// Waits until a key is answered so.
async fn until_answered(ingest: &Process, key: &str, expected: u16) {
    let begun = Instant::now();
    while status(ingest, key).await != expected {
        assert!(begun.elapsed() < Duration::from_secs(30), "never {expected}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn id(key: &str) -> &str {
    key.split('_').nth(1).unwrap()
}

async fn rotate(
    world: &World,
    key: &str,
    grace_hours: u32,
    drop: Option<Drop>,
) -> Result<String, KeyRefusal> {
    let mut tx = world.owner.begin().await.unwrap();
    let rotated = rotation::rotate(&mut tx, id(key), Rotation { grace_hours, drop }).await.unwrap();
    tx.commit().await.unwrap();
    rotated.map(|rotated| rotated.key.expose_secret().to_owned())
}

async fn limited(world: &World, limits: Limits) -> String {
    let mut conn = world.owner.acquire().await.unwrap();
    let made = keys::create_limited(&mut conn, "test", &[Scope::Read], limits).await.unwrap();
    made.1.expose_secret().to_owned()
}

async fn execute(world: &World, statement: &'static str) {
    sqlx::query(statement).execute(&world.owner).await.unwrap();
}

#[tokio::test]
async fn two_secrets_of_a_key_work_until_the_grace_ends() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let first = world.key(&[Scope::Read]).await;
    assert_eq!(status(&ingest, &first).await, 200);
    let second = rotate(&world, &first, 24, None).await.unwrap();
    assert_eq!(id(&second), id(&first));
    assert_ne!(second, first);
    assert_eq!(status(&ingest, &first).await, 200);
    assert_eq!(status(&ingest, &second).await, 200);

    // A third would be one too many.
    let refused = rotate(&world, &first, 24, None).await;
    assert!(matches!(refused, Err(KeyRefusal::TwoActive(_))), "{refused:?}");
    let third = rotate(&world, &first, 24, Some(Drop::Newest)).await.unwrap();
    until_answered(&ingest, &second, 401).await;
    assert_eq!(status(&ingest, &first).await, 200, "its users have not changed over");
    assert_eq!(status(&ingest, &third).await, 200);
    let fourth = rotate(&world, &first, 24, Some(Drop::Oldest)).await.unwrap();
    until_answered(&ingest, &first, 401).await;
    assert_eq!(status(&ingest, &third).await, 200);
    assert_eq!(status(&ingest, &fourth).await, 200);

    // The grace ends by itself.
    execute(&world, "update api_key_secrets set ends_at = now() where ends_at > now()").await;
    until_answered(&ingest, &third, 401).await;
    assert_eq!(status(&ingest, &fourth).await, 200);
    assert_eq!(
        rotate(&world, &first, 24, Some(Drop::Oldest)).await,
        Err(KeyRefusal::OneActive),
        "there is nothing to drop"
    );
    // A leaked secret ends at once, with every older one.
    let fifth = rotate(&world, &first, 24, None).await.unwrap();
    let sixth = rotate(&world, &first, 0, None).await.unwrap();
    until_answered(&ingest, &fourth, 401).await;
    until_answered(&ingest, &fifth, 401).await;
    assert_eq!(status(&ingest, &sixth).await, 200);
}

#[tokio::test]
async fn a_revoked_or_expired_key_ends_with_all_its_secrets() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let revoked = world.key(&[Scope::Read]).await;
    let its_second = rotate(&world, &revoked, 24, None).await.unwrap();
    let expiring = limited(&world, Limits { days: Some(1), ..Limits::default() }).await;
    for key in [&revoked, &its_second, &expiring] {
        assert_eq!(status(&ingest, key).await, 200);
    }
    let mut conn = world.owner.acquire().await.unwrap();
    let listed = keys::list(&mut conn).await.unwrap();
    let expires_at = listed[1].expires_at.unwrap();
    assert_eq!(expires_at - listed[1].created_at, chrono::TimeDelta::days(1));
    assert!(keys::revoke(&mut conn, id(&revoked)).await.unwrap());
    execute(&world, "update api_keys set expires_at = now() where expires_at is not null").await;
    for key in [&revoked, &its_second, &expiring] {
        until_answered(&ingest, key, 401).await;
    }
    assert_eq!(rotate(&world, &revoked, 24, None).await, Err(KeyRefusal::Revoked));
    assert_eq!(rotate(&world, &expiring, 24, None).await, Err(KeyRefusal::Expired));
    assert_eq!(rotate(&world, "lk_nobody_x", 24, None).await, Err(KeyRefusal::Unknown));
}

/// Sends requests one after the other as fast as they are answered; how many passed, how many were
/// refused, and in how many whole seconds.
async fn hurry(ingest: &Process, key: &str, requests: u32) -> (u64, u64, u64) {
    let begun = Instant::now();
    let (mut passed, mut refused) = (0, 0);
    for _ in 0..requests {
        let response: Response = read(ingest, key).send().await.unwrap();
        if response.status() == 200 {
            passed += 1;
            continue;
        }
        assert_eq!(response.status(), 429);
        let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!(wait >= 1);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        refused += 1;
    }
    (passed, refused, begun.elapsed().as_secs() + 1)
}

#[tokio::test]
async fn a_key_that_sends_too_much_is_told_when_to_go_on_and_others_are_not_held_up() {
    let world = World::new().await;
    let ingest = world.ingest(&["--rate-limit", "3"]);
    let slow = limited(&world, Limits { rate_per_second: Some(1), ..Limits::default() }).await;
    let unlimited = limited(&world, Limits { rate_per_second: Some(0), ..Limits::default() }).await;
    let usual = limited(&world, Limits::default()).await;
    for (key, rate) in [(&slow, 1), (&usual, 3)] {
        let (passed, refused, seconds) = hurry(&ingest, key, 60).await;
        assert!(passed >= 2 * rate, "two seconds' worth may come at once: {passed}");
        assert!(passed <= (2 + seconds) * rate, "{passed} in {seconds} s at {rate}/s");
        assert_eq!(passed + refused, 60);
        let (passed, ..) = hurry(&ingest, &unlimited, 60).await;
        assert_eq!(passed, 60);
    }
    // Another secret of the key is the same key.
    let another = rotate(&world, &slow, 24, None).await.unwrap();
    let (passed, _, seconds) = hurry(&ingest, &another, 60).await;
    assert!(passed <= 2 + seconds, "{passed}");
    until_answered(&ingest, &slow, 200).await;
}

/// A proxy and we could differ on which of them counts.
#[tokio::test]
async fn two_keys_in_one_request_are_none() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let key = world.key(&[Scope::Read]).await;
    assert_eq!(answer(read(&ingest, &key)).await.0, 200);
    assert_eq!(answer(read(&ingest, &key).bearer_auth(&key)).await.0, 401);
}

#[tokio::test]
async fn nobody_is_held_up_by_those_who_guess() {
    let api = Api::start().await;
    api.post("/v1/events", &sale("before")).await;
    let guessing = async {
        let http = Client::new();
        let url = format!("{}/v1/outcomes", api.ingest.url);
        let mut seen = [0_u32; 2];
        for number in 0..1_500 {
            let guess = format!("lk_{number:012x}_{:064x}", number * 7);
            let (status, _) = answer(http.get(&url).bearer_auth(guess)).await;
            seen[usize::from(status == 429)] += 1;
            assert!(matches!(status, 401 | 429), "{status}");
        }
        seen
    };
    let working = async {
        for number in 0..200 {
            let (status, body) = api.post("/v1/events", &sale(&number.to_string())).await;
            assert_eq!(status, 202, "{body}");
        }
    };
    let begun = Instant::now();
    let ([unknown, refused], ()) = tokio::join!(guessing, working);
    let looked_up_max = 100 * (begun.elapsed().as_secs() + 1) + 200;
    assert!(u64::from(unknown) <= looked_up_max, "{unknown} looked up, {refused} refused");
    // What has not the form of a key is answered without being looked up.
    for _ in 0..300 {
        assert_eq!(status(&api.ingest, "lk_a_b").await, 401);
    }
}

#[tokio::test]
async fn when_a_secret_was_last_used_shows_and_holds_up_nobody() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let key = world.key(&[Scope::Read]).await;
    assert_eq!(status(&ingest, &key).await, 200);
    world.wait_until("its use is written", "select count(*) = 1 from api_key_uses").await;
    let mut conn = world.owner.acquire().await.unwrap();
    let listed = keys::list(&mut conn).await.unwrap().remove(0);
    let used_at = listed.last_used_at.unwrap();
    assert_eq!(used_at.timestamp() % 60, 0, "to the minute");
    assert!(listed.previous.is_none());

    // While the uses cannot be written, keys work as ever; afterwards nothing is missing.
    let newer = rotate(&world, &key, 24, None).await.unwrap();
    let mut tx = world.owner.begin().await.unwrap();
    sqlx::query("lock table api_key_uses in access exclusive mode")
        .execute(&mut *tx)
        .await
        .unwrap();
    for _ in 0..20 {
        assert_eq!(status(&ingest, &newer).await, 200);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    tx.rollback().await.unwrap();
    world.wait_until("both are written", "select count(*) = 2 from api_key_uses").await;
    execute(&world, "update api_key_uses set used_at = used_at - interval '1 hour'").await;

    // The previous secret's use shows apart, and a stop writes what was not yet due.
    assert_eq!(status(&ingest, &key).await, 200);
    assert!(ingest.stop().success());
    let listed = keys::list(&mut conn).await.unwrap().remove(0);
    let previous = listed.previous.unwrap();
    assert!(previous.works_until > used_at);
    assert_eq!(listed.last_used_at, previous.last_used_at, "the newer one was used an hour ago");
    assert!(previous.last_used_at.unwrap() >= used_at);
}

#[tokio::test]
async fn metrics_and_the_api_never_share_a_port() {
    let api = Api::start().await;
    let http = Client::new();
    for path in ["/metrics", "/metrics/", "/v1/metrics"] {
        assert_eq!(answer(http.get(format!("{}{path}", api.ingest.url))).await.0, 404);
        let (status, _) = api.get(path).await;
        assert_eq!(status, 404, "with every scope: {path}");
    }
    for path in ["/v1/events", "/v1/outcomes", "/v1/members", "/openapi.json", "/readyz", "/"] {
        let response = http.get(format!("{}{path}", api.ingest.metrics_url)).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path} where metrics are");
    }
    for (listen, metrics) in [("127.0.0.1:18080", "127.0.0.1:18080"), ("0.0.0.0:1", "127.0.0.1:1")]
    {
        let mut command = api.world.command("lineage-ingest");
        command.args(["--listen", listen, "--metrics-listen", metrics]);
        let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert_eq!(done.status.code(), Some(1));
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(said.contains("are the same port") && said.contains("--metrics-listen"), "{said}");
        assert_eq!(done.stdout, b"", "nothing was served");
    }
}
