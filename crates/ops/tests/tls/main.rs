//! TLS to PostgreSQL and Redis, by URL alone: every binary works over it, and none of them takes a
//! server for another one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod servers;

use std::process::Command;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use store::stream::Doorbell;
use store::testing::{Process, binary_path};

use crate::servers::Servers;

const PLAN: &str = "plan: p\nversion: '1'\nvalid_from: 2020-01-01\nrules:\n  - id: base\n    \
    component: base\n    calculation: {type: unilevel, levels: [{level: 1, percentage: '3.00'}]}\n";
const MEMBERS: &str = "id,sponsor_id,status,rank,joined_at\n\
    00000000-0000-0000-0000-000000000001,,ACTIVE,MEMBER,\n\
    00000000-0000-0000-0000-000000000002,00000000-0000-0000-0000-000000000001,ACTIVE,MEMBER,\n";

fn postgres(servers: &Servers, host: &str, parameters: &str) -> String {
    format!("postgres://lineage@{host}:{}/postgres?{parameters}", servers.postgres_port)
}

fn command(binary: &str, database_url: &str, redis_url: &str) -> Command {
    let mut command = Command::new(binary_path(binary));
    for own in ["INGEST", "WORKER", "OPS"] {
        command.env_remove(format!("LINEAGE_{own}_DATABASE_URL"));
    }
    command.env("DATABASE_URL", database_url).env("REDIS_URL", redis_url).env_remove("RUST_LOG");
    command
}

/// What `lineage` said to stdout, or its complaint.
fn lineage(database_url: &str, redis_url: &str, arguments: &[&str]) -> Result<String, String> {
    let output = command("lineage", database_url, redis_url).args(arguments).output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

/// What Redis answers, or the complaint.
async fn ping(redis_url: &str) -> Result<(), String> {
    let connect = || Doorbell::new(&SecretString::from(redis_url), "tls")?.connect();
    match connect() {
        Ok(mut ringer) => ringer.ping().await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// The three binaries over TLS, from an empty server to a proved settlement; then every way in which
/// a server is not the one that was meant.
#[tokio::test(flavor = "multi_thread")]
async fn every_binary_speaks_tls_and_refuses_other_servers() {
    let servers = tokio::task::spawn_blocking(Servers::start).await.unwrap();
    let (authority, other) = (servers.authority(), servers.other_authority());
    let database_url =
        postgres(&servers, "localhost", &format!("sslmode=verify-full&sslrootcert={authority}"));
    let redis_url = if servers.has_redis() {
        format!("rediss://localhost:{}/?sslrootcert={authority}", servers.redis_tls_port)
    } else {
        format!("redis://localhost:{}/", servers.redis_plain_port)
    };
    if servers.has_redis() {
        settle_over_tls(&servers, &database_url, &redis_url).await;
        refuse_other_redis(&servers, &authority, &other).await;
    } else {
        lineage(&database_url, &redis_url, &["migrate"]).unwrap();
    }
    refuse_other_postgres(&servers, &database_url, &authority, &other).await;
}

async fn settle_over_tls(servers: &Servers, database_url: &str, redis_url: &str) {
    let say = |arguments: &[&str]| lineage(database_url, redis_url, arguments).unwrap();
    let directory = std::env::temp_dir();
    let file = |name: &str, content: &str| {
        let path = directory.join(format!("lineage-tls-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ranks = file("ranks.yaml", "ranks: [MEMBER]\n");
    let (members, plan) = (file("members.csv", MEMBERS), file("plan.yaml", PLAN));
    say(&["migrate"]);
    say(&["ranks", "apply", &ranks]);
    say(&["members", "import", &members]);
    say(&["plan", "apply", &plan, "--reason", "test"]);
    let key = say(&["keys", "create", "shop", "--scopes", "events:write"]);
    for file in [ranks, members, plan] {
        std::fs::remove_file(file).unwrap();
    }

    let start = |binary: &str, ports: &[&str]| {
        let mut command = command(binary, database_url, redis_url);
        command.args(ports);
        Process::spawn(command)
    };
    let ports = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
    let ingest = start("lineage-ingest", &ports);
    let worker = start("lineage-worker", &ports[2..]);
    let sale = json!({
        "type": "SALE", "source": "shop", "id": "1", "amount": "100", "currency": "EUR",
        "member_id": "00000000-0000-0000-0000-000000000002", "occurred_at": "2026-01-01T00:00:00Z",
    });
    let client = reqwest::Client::new();
    let url = format!("http://{}/v1/events", ingest.url.trim_start_matches("http://"));
    let posted = client.post(url).bearer_auth(key.trim()).json(&sale).send().await.unwrap();
    assert_eq!(posted.status(), 202, "{}", posted.text().await.unwrap());

    let mut conn = PgConnection::connect(database_url).await.unwrap();
    let begun = Instant::now();
    loop {
        let paid: i64 = sqlx::query_scalar("select count(*) from commission_ledger")
            .fetch_one(&mut conn)
            .await
            .unwrap();
        if paid == 1 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "the worker hears nothing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (sessions, encrypted): (i64, i64) = sqlx::query_as(
        "select count(*), count(*) filter (where ssl)
           from pg_stat_ssl join pg_stat_activity using (pid)
          where application_name in ('lineage-ingest', 'lineage-worker')",
    )
    .fetch_one(&mut conn)
    .await
    .unwrap();
    assert!(sessions >= 2 && sessions == encrypted, "{encrypted} of {sessions} are encrypted");
    assert!(say(&["verify"]).contains("Proved: everything is as the rules say."));
    assert!(worker.stop().success() && ingest.stop().success());

    // Ingest starts, as it does while PostgreSQL is away, but trusts no other authority.
    let other = servers.other_authority();
    let database_url =
        postgres(servers, "localhost", &format!("sslmode=verify-full&sslrootcert={other}"));
    let mut command = command("lineage-ingest", &database_url, redis_url);
    command.args(ports);
    let ingest = Process::spawn(command);
    let ready = format!("http://{}/readyz", ingest.url.trim_start_matches("http://"));
    assert_eq!(client.get(ready).send().await.unwrap().status(), 503);
}

async fn refuse_other_redis(servers: &Servers, authority: &str, other: &str) {
    let (tls, plain) = (servers.redis_tls_port, servers.redis_plain_port);
    let escaped = authority.replace('/', "%2F");
    assert_eq!(ping(&format!("rediss://localhost:{tls}/0?sslrootcert={escaped}")).await, Ok(()));
    let not_accepted = "the server's certificate is not accepted: name the file";
    // A Redis without TLS waits for the end of a line, which no handshake has.
    for (url, complaint) in [
        (format!("rediss://localhost:{tls}/?sslrootcert={other}"), not_accepted),
        (format!("rediss://127.0.0.1:{tls}/?sslrootcert={authority}"), not_accepted),
        (format!("rediss://localhost:{tls}/"), not_accepted),
        (format!("rediss://localhost:{plain}/?sslrootcert={authority}"), "timed out"),
        (format!("redis://localhost:{plain}/?sslrootcert={authority}"), "write rediss://"),
        (format!("rediss://localhost:{tls}/?sslrootcert=/nowhere.crt"), "cannot read"),
        (format!("rediss://localhost:{tls}/?sslrootcert=/dev/null"), "holds no certificate"),
        (format!("rediss://localhost:{tls}/#insecure"), "is not supported"),
    ] {
        let answer = ping(&url).await;
        let said = answer.expect_err(&url);
        assert!(said.contains(complaint), "{url}: {said}");
    }
}

async fn refuse_other_postgres(servers: &Servers, sound: &str, authority: &str, other: &str) {
    let ask = |host: &str, parameters: &str| {
        lineage(&postgres(servers, host, parameters), "redis://unused", &["program", "show"])
    };
    let not_accepted = "the server's certificate is not accepted: name the file";
    for (host, parameters, complaint) in [
        ("localhost", format!("sslmode=verify-full&sslrootcert={other}"), not_accepted),
        ("localhost", format!("sslmode=verify-ca&sslrootcert={other}"), not_accepted),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={authority}"), not_accepted),
        ("localhost", "sslmode=verify-full".to_owned(), not_accepted),
        ("localhost", format!("sslmode=require&sslrootcert={authority}"), "sslmode=verify-full"),
        ("localhost", format!("sslrootcert={authority}"), "sslmode=verify-full"),
        ("localhost", "sslmode=verify-full&sslrootcert=/nowhere.crt".to_owned(), "cannot read"),
        ("localhost", "sslmode=verify-ca&sslrootcert=/dev/null".to_owned(), "no certificate"),
    ] {
        let said = ask(host, &parameters).expect_err(&parameters);
        assert!(said.contains(complaint), "{parameters}: {said}");
        assert!(!said.contains("Is PostgreSQL running there"), "{parameters}: {said}");
    }
    // What checks less lets more pass.
    ask("127.0.0.1", &format!("sslmode=verify-ca&sslrootcert={authority}")).unwrap();
    ask("127.0.0.1", "sslmode=require").unwrap();

    // The server speaks no TLS any more. Only who asks for nothing goes on, in plain text.
    let mut conn = PgConnection::connect(sound).await.unwrap();
    sqlx::raw_sql("alter system set ssl = off").execute(&mut conn).await.unwrap();
    sqlx::raw_sql("select pg_reload_conf()").execute(&mut conn).await.unwrap();
    let begun = Instant::now();
    while ask("localhost", "sslmode=require").is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(30), "TLS stays on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        let said = ask("localhost", &format!("sslmode={mode}")).expect_err(mode);
        assert!(said.contains("switch it on in the server"), "{mode}: {said}");
    }
    for mode in ["", "sslmode=prefer", "sslmode=allow", "sslmode=disable"] {
        ask("localhost", mode).unwrap_or_else(|said| panic!("{mode}: {said}"));
    }
}
