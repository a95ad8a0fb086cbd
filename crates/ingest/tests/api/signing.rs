//! Requests signed by the Standard Webhooks scheme.

use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Client, Method, RequestBuilder};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::keys::{Scope, signing};
use store::testing::{Process, World};

use crate::client::{answer, member, sale};

/// A key whose requests must be signed.
struct Signed {
    world: World,
    ingest: Process,
    key: String,
    secret: String,
}

impl Signed {
    async fn start() -> Self {
        let world = World::new().await;
        let ingest = world.ingest(&[]);
        let key = world.key(&Scope::ALL).await;
        let secret = secret(&world, &key, false).await;
        Self { world, ingest, key, secret }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        Client::new().request(method, format!("{}{path}", self.ingest.url)).bearer_auth(&self.key)
    }

    /// A request signed by PostgreSQL's time and so many seconds.
    async fn signed(
        &self,
        method: Method,
        path: &str,
        id: &str,
        body: &Value,
        s: i64,
    ) -> (u16, Value) {
        let now: i64 = sqlx::query_scalar("select extract(epoch from clock_timestamp())::bigint")
            .fetch_one(&self.world.owner)
            .await
            .unwrap();
        let (time, body) = ((now + s).to_string(), body.to_string());
        let signature = sign(&self.secret, id, &time, &body);
        let request = self.request(method, path).body(body);
        answer(with_headers(request, id, &time, &signature)).await
    }

    async fn post(&self, path: &str, id: &str, body: &Value) -> (u16, Value) {
        self.signed(Method::POST, path, id, body, 0).await
    }
}

async fn secret(world: &World, key: &str, rotate: bool) -> String {
    let mut tx = world.owner.begin().await.unwrap();
    let made = signing::make(&mut tx, key.split('_').nth(1).unwrap(), rotate).await.unwrap();
    tx.commit().await.unwrap();
    made.unwrap().secret.expose_secret().to_owned()
}

fn sign(secret: &str, id: &str, time: &str, body: &str) -> String {
    let secret = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
    mac.update(format!("{id}.{time}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

fn with_headers(request: RequestBuilder, id: &str, time: &str, signature: &str) -> RequestBuilder {
    request
        .header("webhook-id", id)
        .header("webhook-timestamp", time)
        .header("webhook-signature", signature)
}

#[tokio::test]
async fn a_key_with_a_signing_secret_needs_signatures_where_something_changes() {
    let signed = Signed::start().await;
    for (method, path) in [
        (Method::POST, "/v1/events".to_owned()),
        (Method::POST, "/v1/members".to_owned()),
        (Method::PATCH, format!("/v1/members/{}", member(1))),
        (Method::POST, format!("/v1/members/{}/move", member(1))),
        (Method::PUT, format!("/v1/members/{}/reward-split", member(1))),
    ] {
        let (status, body) = answer(signed.request(method.clone(), &path).body("{}")).await;
        assert_eq!(
            (status, &body["type"]),
            (401, &json!("/problems/signature")),
            "{method} {path}"
        );
        assert!(body["detail"].as_str().unwrap().contains("webhook-id is missing"), "{body}");
        // Rightly signed, it is the body that is looked at.
        let (status, body) = signed.signed(method.clone(), &path, "x", &json!([7]), 0).await;
        assert_eq!(status, 422, "{method} {path}: {body}");
    }
    assert_eq!(answer(signed.request(Method::GET, "/v1/outcomes")).await.0, 200);
    let (status, body) = signed.post("/v1/events", "e1", &sale("1")).await;
    assert_eq!(status, 202, "{body}");
    // A sale may come again, for its id makes it the same sale.
    let (status, body) = signed.post("/v1/events", "e1", &sale("1")).await;
    assert_eq!((status, &body["status"]), (202, &json!("duplicate")));

    // Other keys' secrets, and this one's over other bytes, do not count.
    let stranger = signed.world.key(&Scope::ALL).await;
    let theirs = secret(&signed.world, &stranger, false).await;
    let (time, sale) = (now(&signed.world).await, sale("2").to_string());
    let reordered = format!("{sale} ");
    for (secret, body) in [(&theirs, &sale), (&signed.secret, &reordered)] {
        let request = signed.request(Method::POST, "/v1/events").body(sale.clone());
        let signature = sign(secret, "e2", &time, body);
        let (status, body) = answer(with_headers(request, "e2", &time, &signature)).await;
        assert_eq!((status, &body["type"]), (401, &json!("/problems/signature")), "{body}");
    }
    let too_large = signed.request(Method::POST, "/v1/events").body(vec![b' '; (2 << 20) + 1]);
    // Who is still writing may meet the closed end before the answer.
    if let Ok(refused) = with_headers(too_large, "e3", &time, "v1,x").send().await {
        assert_eq!(refused.status(), 413);
    }
}

async fn now(world: &World) -> String {
    let query = "select extract(epoch from clock_timestamp())::bigint::text";
    sqlx::query_scalar(query).fetch_one(&world.owner).await.unwrap()
}

/// By PostgreSQL's clock; the exact second is held by the unit test of the check.
#[tokio::test]
async fn a_signature_that_is_too_old_or_too_early_is_refused() {
    let signed = Signed::start().await;
    for (seconds, expected) in [(-285, 202), (-315, 401), (285, 202), (330, 401), (3600, 401)] {
        let id = format!("at{seconds}");
        let sale = sale(&id);
        let (status, body) = signed.signed(Method::POST, "/v1/events", &id, &sale, seconds).await;
        assert_eq!(status, expected, "{seconds} s: {body}");
        if expected == 401 {
            assert!(body["detail"].as_str().unwrap().contains("webhook-timestamp"), "{body}");
        }
    }
}

#[tokio::test]
async fn two_signing_secrets_count_and_without_any_nothing_need_be_signed() {
    let mut signed = Signed::start().await;
    let first = signed.secret.clone();
    let id = signed.key.split('_').nth(1).unwrap().to_owned();
    let second = secret(&signed.world, &signed.key, true).await;
    for (number, secret) in [&first, &second].into_iter().enumerate() {
        signed.secret.clone_from(secret);
        let (status, body) = signed.post("/v1/events", &format!("{number}"), &sale("1")).await;
        assert_eq!(status, 202, "{body}");
    }
    // Of three, the oldest has ended.
    let third = secret(&signed.world, &signed.key, true).await;
    signed.secret.clone_from(&first);
    until(&signed, 401, async |signed| signed.post("/v1/events", "x", &sale("1")).await.0).await;
    for secret in [&second, &third] {
        signed.secret.clone_from(secret);
        assert_eq!(signed.post("/v1/events", "y", &sale("1")).await.0, 202);
    }
    let mut tx = signed.world.owner.begin().await.unwrap();
    assert_eq!(signing::remove(&mut tx, &id).await.unwrap(), Ok(()));
    tx.commit().await.unwrap();
    until(&signed, 202, async |signed| {
        let request = signed.request(Method::POST, "/v1/events").body(sale("1").to_string());
        answer(request).await.0
    })
    .await;
}

async fn until(signed: &Signed, expected: u16, ask: impl AsyncFn(&Signed) -> u16) {
    let begun = Instant::now();
    while ask(signed).await != expected {
        assert!(begun.elapsed() < Duration::from_secs(30), "never {expected}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whoever copies a signed move cannot make it again after it was undone.
#[tokio::test]
async fn a_signed_change_that_is_sent_again_changes_nothing() {
    let signed = Signed::start().await;
    for (number, sponsor) in [(1, None), (2, Some(member(1))), (3, Some(member(1)))] {
        let body = json!({"id": member(number), "sponsor_id": sponsor});
        let (status, body) = signed.post("/v1/members", &format!("m{number}"), &body).await;
        assert_eq!(status, 201, "{body}");
    }
    let path = format!("/v1/members/{}/move", member(3));
    let to = |number| json!({"new_sponsor_id": member(number), "reason": "as agreed"});
    // A move that is refused leaves its id for a better one.
    assert_eq!(signed.post(&path, "move", &json!({"new_sponsor_id": 5})).await.0, 422);
    assert_eq!(signed.post(&path, "move", &to(2)).await.0, 200);
    assert_eq!(signed.post(&path, "back", &to(1)).await.0, 200);
    let (status, body) = signed.post(&path, "move", &to(2)).await;
    assert_eq!((status, &body["cause"]), (409, &json!("repeated_webhook_id")), "{body}");
    let sponsor: uuid::Uuid =
        sqlx::query_scalar("select sponsor_id from members where id = $1::uuid")
            .bind(member(3).parse::<uuid::Uuid>().unwrap())
            .fetch_one(&signed.world.owner)
            .await
            .unwrap();
    assert_eq!(sponsor.to_string(), member(1));
    assert_eq!(signed.post(&path, "again", &to(2)).await.0, 200, "another id is another change");
}

/// Whoever stole a key and not its signing secret, or copies requests, leaves traces; but not
/// without bound, and not with sales, which are no operator's.
#[tokio::test]
async fn requests_whose_signature_is_not_accepted_are_on_record() {
    let signed = Signed::start().await;
    let (path, body) = ("/v1/members", json!({"id": member(1)}));
    assert_eq!(signed.post(path, "one", &body).await.0, 201);
    let rows = async || -> Vec<(String, String, String, String, Vec<u8>)> {
        let query = "select actor, subject, result::text, detail, arguments_digest \
                     from operator_actions where action = 'request.refused' order by id";
        sqlx::query_as(query).fetch_all(&signed.world.owner).await.unwrap()
    };
    assert_eq!(rows().await, []);
    let time = now(&signed.world).await;
    let missing = signed.request(Method::POST, path).body(body.to_string());
    assert_eq!(answer(missing).await.0, 401);
    let wrong = signed.request(Method::POST, path).body(body.to_string());
    assert_eq!(answer(with_headers(wrong, "two", &time, "v1,AAAA")).await.0, 401);
    assert_eq!(signed.signed(Method::POST, path, "old", &body, -400).await.0, 401);
    assert_eq!(signed.post(path, "one", &body).await.0, 409);
    let found = rows().await;
    let parts = ["webhook-id is missing", "no signature in", "webhook-timestamp is", "repeated_"];
    assert_eq!(found.len(), parts.len(), "{found:?}");
    let actor = format!("key:{}", signed.key.split('_').nth(1).unwrap());
    for ((who, subject, result, detail, digest), part) in found.iter().zip(parts) {
        assert_eq!((who, &**subject, &**result), (&actor, "POST /v1/members", "refused"));
        assert!(detail.starts_with("the signature is not accepted: "), "{detail}");
        assert!(detail.contains(part), "{detail}: {part}");
        assert_eq!(**digest, *sha2::Sha256::digest("POST /v1/members"));
    }
    // Sales leave none, and requests beyond the bound neither.
    let send = async |path: &str| answer(signed.request(Method::POST, path).body("{}")).await.0;
    assert_eq!(send("/v1/events").await, 401);
    assert_eq!(rows().await.len(), parts.len());
    let mover = format!("/v1/members/{}/move", member(1));
    for _ in 0..70 {
        assert_eq!(send(&mover).await, 401);
    }
    let found = rows().await;
    assert_eq!(found.len(), 60, "as many as are recorded in a minute");
    let (_, subject, _, detail, _) = found.last().unwrap();
    assert_eq!(subject, "POST /v1/members/{id}/move");
    assert!(detail.ends_with(&format!(", on {}", member(1))), "{detail}");
}

/// The shell example of docs/SECURITY.md, word for word, where its programs are there.
#[tokio::test]
async fn the_documented_example_signs_rightly() {
    let found =
        Command::new("sh").args(["-c", "command -v openssl curl base64 od"]).output().unwrap();
    if !found.status.success() {
        eprintln!("not tried: openssl, curl, base64 and od are not all there");
        return;
    }
    let document = include_str!("../../../../docs/SECURITY.md");
    let example =
        document.split("```sh signing\n").nth(1).and_then(|rest| rest.split("```").next());
    let signed = Signed::start().await;
    let mut command = Command::new("bash");
    command.args(["-euc", example.unwrap()]);
    command.env("KEY", &signed.key).env("SECRET", &signed.secret).env("URL", &signed.ingest.url);
    command.env("BODY", sale("documented").to_string());
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(out.contains(r#""status":"accepted""#), "{out} {err}");
}
