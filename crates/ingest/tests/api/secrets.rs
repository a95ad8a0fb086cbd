//! No secret is written where others may read it, however much is logged.

mod listening;

use std::process::{Command, Output};
use std::time::Duration;

use reqwest::{Client, Url};
use secrecy::ExposeSecret as _;
use serde_json::json;
use store::keys::rotation::{self, Rotation};
use store::keys::{Scope, signing};
use store::testing::World;
use tokio::task::JoinSet;

use crate::client::{SELLER, sale};
use listening::{Directory, Heard, Searched, arguments_of_children, wrong_door};

const UNASKED: &str = "pgpass-5e1f00aa";
const IN_REDIS_URL: &str = "redispass-77c2d1b9";
const UNREACHABLE: &str = "faraway-90ab33e7";
const WRONG: &str = "wrongpass-c0ffee42";
const MISTYPED: &str = "mistyped-1d2e3f4a";

/// The password of the world's database; one that nobody asks for, where the server asks for none.
fn database_password(world: &World) -> String {
    let url = world.database_url().expose_secret().to_owned();
    let authority = url.split_once("://").and_then(|(_, rest)| Some(rest.rsplit_once('@')?.0));
    let password = authority.and_then(|authority| Some(authority.split_once(':')?.1.to_owned()));
    password.unwrap_or_else(|| UNASKED.to_owned())
}

/// The world's database, with its password as a parameter, and one that is mistyped.
fn with_password(world: &World) -> String {
    let url = world.database_url().expose_secret().to_owned();
    let joint = if url.contains('?') { '&' } else { '?' };
    let password = database_password(world);
    format!("{url}{joint}password={password}&sslpassword={MISTYPED}")
}

/// Searches also by everything that makes a working key, and how its requests are signed. Two keys, one
/// rotated; the second one must sign.
struct Secrets {
    key: String,
    rotated: String,
    signing_key: String,
    unknown: String,
}

impl Secrets {
    async fn make(world: &World, searched: &mut Searched) -> Self {
        let key = world.key(&Scope::ALL).await;
        let signing_key = world.key(&Scope::ALL).await;
        let mut tx = world.owner.begin().await.unwrap();
        let rotation = Rotation { grace_hours: 1, drop: None };
        let rotated = rotation::rotate(&mut tx, id(&key), rotation).await.unwrap().unwrap();
        let signing = signing::make(&mut tx, id(&signing_key), false).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        let rotated = rotated.key.expose_secret().to_owned();
        let unknown = format!("lk_{:012x}_{:064x}", 0xabc_def, 0x1234_5678);
        let signing = signing.secret.expose_secret().trim_start_matches("whsec_");
        let bare = |key: &str| key.split('_').nth(2).unwrap().to_owned();
        for (what, secret) in [
            ("a key", bare(&key)),
            ("a rotated key", bare(&rotated)),
            ("a key that must sign", bare(&signing_key)),
            ("an unknown key", bare(&unknown)),
            ("a signing secret", signing.to_owned()),
        ] {
            searched.secret(what, &secret);
        }
        Self { key, rotated, signing_key, unknown }
    }
}

fn id(key: &str) -> &str {
    key.split('_').nth(1).unwrap()
}

/// A binary with these URLs, on free ports.
fn command(world: &World, binary: &str, database: &str, redis: Option<&str>) -> Command {
    let mut command = world.command(binary);
    command.env("DATABASE_URL", database).env("RUST_LOG", "trace");
    for listen in ["INGEST_LISTEN", "INGEST_METRICS_LISTEN", "WORKER_METRICS_LISTEN"] {
        command.env(format!("LINEAGE_{listen}"), "127.0.0.1:0");
    }
    if let Some(redis) = redis {
        command.env("REDIS_URL", redis);
    }
    command
}

async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test]
async fn no_secret_is_logged_at_any_level() {
    let world = World::new().await;
    let directory = Directory::new(&world);
    let mut searched = Searched::default();
    for (what, secret) in [
        ("the database's password", &*database_password(&world)),
        ("Redis's password", IN_REDIS_URL),
        ("a password of a server that is away", UNREACHABLE),
        ("a wrong password", WRONG),
        ("the value of an unknown parameter", MISTYPED),
    ] {
        searched.secret(what, secret);
    }
    let secrets = Secrets::make(&world, &mut searched).await;
    let url = with_password(&world);
    let ingest = command(&world, "lineage-ingest", &url, None);
    let ingest = Heard::start(ingest, &directory.0, "ingest");
    let worker = command(&world, "lineage-worker", &url, None);
    let worker = Heard::start(worker, &directory.0, "worker");
    let listening = ingest.wait_for("listening on ").await;
    let (api, metrics) = listening.split_once(", metrics on ").unwrap();
    for (place, text) in requests(api, metrics, &secrets).await {
        searched.search(&place, &text);
    }
    world.wait_until("a sale has failed", "select exists (select from event_failures)").await;
    world.wait_until("uses are written", "select exists (select from api_key_uses)").await;
    servers_that_are_away_or_refuse(&world, &directory, &secrets.key, &mut searched).await;
    commands_that_cannot_go_on(&world, &mut searched).await;
    commands_that_make_secrets(&world, &secrets, &mut searched).await;
    for (name, process) in [("ingest", ingest), ("worker", worker)] {
        let said = process.stop();
        assert!(said.contains("TRACE") || said.contains("DEBUG"), "{name} logs little:\n{said}");
        searched.search(name, &said);
    }
    let query = "select coalesce(string_agg(a::text, ' '), 'none') from operator_actions a";
    let recorded: String = sqlx::query_scalar(query).fetch_one(&world.owner).await.unwrap();
    assert!(recorded.contains("key.rotate"), "{recorded}");
    searched.search("operator_actions", &recorded);
    assert!(searched.found.is_empty(), "{:#?}", searched.found);
}

/// Processes go on without their servers, and say so.
async fn servers_that_are_away_or_refuse(
    world: &World,
    directory: &Directory,
    key: &str,
    searched: &mut Searched,
) {
    let door = wrong_door();
    let urls = |user_password: &str, port: u16| {
        let at = format!("{user_password}@127.0.0.1:{port}");
        (format!("postgres://{at}/none"), format!("redis://{at}/"))
    };
    for (name, binary, (database, redis)) in [
        ("away", "lineage-ingest", urls(&format!("lineage:{UNREACHABLE}"), 1)),
        ("refused", "lineage-ingest", urls(&format!("lineage:{WRONG}"), door)),
        ("away", "lineage-worker", urls(&format!("lineage:{UNREACHABLE}"), 1)),
        ("refused", "lineage-worker", urls(&format!("lineage:{WRONG}"), door)),
    ] {
        let name = format!("{binary}-{name}");
        let process = command(world, binary, &database, Some(&redis));
        let process = Heard::start(process, &directory.0, &name);
        if binary == "lineage-ingest" {
            let line = process.wait_for("listening on ").await;
            let api = line.split(',').next().unwrap();
            for path in ["/readyz", "/v1/outcomes"] {
                let request = Client::new().get(format!("{api}{path}")).bearer_auth(key);
                let answer = request.send().await.unwrap().text().await.unwrap();
                searched.search(&format!("{path} of {name}"), &answer);
            }
        } else {
            // It says that something is wrong before it tries again.
            process.wait_for("WARN").await;
        }
        searched.search(&name, &process.stop());
    }
    // The Redis that is really there knows no such user.
    let settings = world.command("lineage-worker");
    let redis = settings.get_envs().find(|(name, _)| *name == "REDIS_URL").unwrap().1.unwrap();
    let redis = Url::parse(redis.to_str().unwrap()).unwrap();
    let (host, port) = (redis.host_str().unwrap_or_default(), redis.port().unwrap_or(6379));
    let redis = format!("redis://nobody:{IN_REDIS_URL}@{host}:{port}/");
    let process = command(world, "lineage-worker", &with_password(world), Some(&redis));
    let process = Heard::start(process, &directory.0, "stranger");
    process.wait_for("WARN").await;
    searched.search("a worker that Redis does not know", &process.stop());
}

/// Wrong usage, URLs that are none, and commands without their server.
async fn commands_that_cannot_go_on(world: &World, searched: &mut Searched) {
    let port = wrong_door();
    let mut running = JoinSet::new();
    for (number, database) in [
        format!("postgres://u:{WRONG}@host:port/none"),
        format!("postgres://u:{WRONG}@[::1/none"),
        format!("mysql://u:{WRONG}@127.0.0.1:1/none"),
        format!("postgres://u:{WRONG}@127.0.0.1:1/none?sslmode=perhaps"),
        format!("host=127.0.0.1 password={WRONG}"),
        format!("postgres://u:{WRONG}@127.0.0.1:{port}/none"),
        format!("postgres://u:{UNREACHABLE}@127.0.0.1:1/none?sslpassword={MISTYPED}"),
    ]
    .into_iter()
    .enumerate()
    {
        for (binary, arguments) in [
            ("lineage-ingest", &["--listen", "127.0.0.1:1", "--metrics-listen", "127.0.0.1:1"][..]),
            ("lineage-ingest", &["--listen", "999"]),
            ("lineage-ingest", &["--help"]),
            ("lineage-worker", &["--batch", "x"]),
            ("lineage-worker", &["--help"]),
            ("lineage", &["keys", "list"]),
            ("lineage", &["migrate"]),
            ("lineage", &["keys", "create", "", "--scopes", "x"]),
            ("lineage", &["keys", "rotate", "--help"]),
        ] {
            let redis = format!("redis://:{WRONG}@host:port");
            let mut command = command(world, binary, &database, Some(&redis));
            command.args(arguments);
            let place = format!("{binary} {arguments:?} with URL {number}");
            running.spawn(async move { (place, output(command).await) });
        }
        while let Some(ended) = running.join_next().await {
            let (place, done) = ended.unwrap();
            let said = [done.stdout, done.stderr].concat();
            searched.search(&place, &String::from_utf8_lossy(&said));
        }
    }
}

/// They say a secret once, alone on stdout.
async fn commands_that_make_secrets(world: &World, secrets: &Secrets, searched: &mut Searched) {
    for arguments in [
        &["keys", "rotate", id(&secrets.key), "--drop", "newest"][..],
        &["keys", "signing-secret", id(&secrets.signing_key), "--rotate"],
        &["keys", "create", "another", "--scopes", "all"],
    ] {
        let mut command = command(world, "lineage", &with_password(world), None);
        command.args(arguments);
        let done = output(command).await;
        let made = String::from_utf8(done.stdout).unwrap();
        assert!(done.status.success() && made.lines().count() == 1, "{arguments:?}: {made}");
        searched.secret("a secret just made", made.trim().rsplit('_').next().unwrap());
        searched.search(&format!("{arguments:?}"), &String::from_utf8(done.stderr).unwrap());
    }
}

/// Whoever may list processes sees their arguments. What `lineage bench` starts is told URLs by its
/// environment, which others do not see.
#[tokio::test]
async fn no_secret_is_an_argument_of_what_is_started() {
    let world = World::new().await;
    let directory = Directory::new(&world);
    let mut searched = Searched::default();
    searched.secret("the database's password", &database_password(&world));
    searched.secret("a key", "lk_");
    let mut bench = command(&world, "lineage", &with_password(&world), None);
    bench.args(["bench", "ingest", "--events", "3000", "--batch", "1"]);
    let mut bench = Heard::start(bench, &directory.0, "bench");
    let mut started = 0;
    while bench.child.try_wait().unwrap().is_none() {
        for arguments in arguments_of_children(bench.child.id()) {
            started += usize::from(arguments.contains("lineage-ingest"));
            searched.search("the arguments of a process", &arguments);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(bench.child.wait().unwrap().success(), "{}", bench.said());
    assert!(started > 0, "nothing was started");
    searched.search("the bench", &bench.said());
    assert!(searched.found.is_empty(), "{:#?}", searched.found);
}

/// Requests with keys where they belong and where they do not; what is answered.
async fn requests(api: &str, metrics: &str, secrets: &Secrets) -> Vec<(String, String)> {
    let http = Client::new();
    let mut answers = Vec::new();
    for key in [&secrets.key, &secrets.rotated, &secrets.signing_key, &secrets.unknown] {
        let url = |path: &str| format!("{api}{path}");
        let requests = [
            http.get(url("/v1/outcomes")).bearer_auth(key),
            http.get(url("/v1/outcomes")).basic_auth(key, Some(key)),
            http.get(url("/v1/outcomes")).header("authorization", format!("Token {key}")),
            http.get(url("/v1/outcomes")).header("authorization", key),
            http.get(url("/v1/outcomes")).header("x-api-key", key),
            http.get(url("/v1/outcomes")).header("cookie", format!("key={key}")),
            http.get(url("/v1/outcomes")).bearer_auth(key).bearer_auth(key),
            http.get(url(&format!("/v1/outcomes?after={key}"))).bearer_auth(key),
            http.get(url(&format!("/v1/outcomes?limit={key}"))).bearer_auth(key),
            http.get(url(&format!("/v1/events/{key}"))).bearer_auth(key),
            http.get(url(&format!("/v1/members/{key}"))).bearer_auth(key),
            http.get(url(&format!("/{key}"))).bearer_auth(key),
            http.post(url("/v1/events")).bearer_auth(key).body(key.to_owned()),
            http.post(url("/v1/events"))
                .bearer_auth(key)
                .body(json!({"currency": key}).to_string()),
            http.post(url("/v1/events")).bearer_auth(key).body(sale("1").to_string()),
            http.post(url("/v1/events"))
                .bearer_auth(key)
                .header("webhook-id", "1")
                .header("webhook-timestamp", key)
                .header("webhook-signature", format!("v1,{key}"))
                .body(sale("2").to_string()),
            http.post(url(&format!("/v1/members/{SELLER}/move")))
                .bearer_auth(key)
                .body(json!({"new_sponsor_id": key, "reason": key}).to_string()),
        ];
        for (number, request) in requests.into_iter().enumerate() {
            let response = request.send().await.unwrap();
            let headers = format!("{:?}", response.headers());
            answers
                .push((format!("the answer {number}"), headers + &response.text().await.unwrap()));
        }
    }
    for url in
        [format!("{api}/openapi.json"), format!("{api}/readyz"), format!("{metrics}/metrics")]
    {
        answers.push((url.clone(), http.get(&url).send().await.unwrap().text().await.unwrap()));
    }
    answers
}
