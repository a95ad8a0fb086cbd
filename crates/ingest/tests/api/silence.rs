//! A PostgreSQL that neither answers nor fails.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Api;

/// Passes on every byte, or silently keeps what comes.
fn pass_on(mut from: TcpStream, mut to: TcpStream, silent: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut piece) {
            while silent.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(10));
            }
            if to.write_all(&piece[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}

/// Listens before a server; returns the port.
fn listen_before(server: String, silent: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let upstream = TcpStream::connect(&server).unwrap();
            let (up, down) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
            pass_on(client, up, Arc::clone(&silent));
            pass_on(upstream, down, Arc::clone(&silent));
        }
    });
    port
}

async fn readiness(url: &str) -> (u16, Value) {
    let answer = reqwest::get(format!("{url}/readyz")).await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

async fn wait_until_ready(url: &str) {
    let begun = Instant::now();
    while readiness(url).await.0 != 200 {
        assert!(begun.elapsed() < Duration::from_mins(1), "never ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The answer comes, however many ask and however long it lasts, and is good again afterwards.
#[tokio::test]
async fn readiness_is_denied_and_not_withheld_while_postgresql_is_silent() {
    let api = Api::start().await;
    let url = api.database_url();
    let server = url.split_once('@').unwrap().1.split_once('/').unwrap().0;
    let silent = Arc::new(AtomicBool::new(false));
    let port = listen_before(server.to_owned(), Arc::clone(&silent));
    let url = url.replace(server, &format!("127.0.0.1:{port}"));
    let ingest = api.world.ingest(&["--database-url", &url]);
    wait_until_ready(&ingest.url).await;
    silent.store(true, Ordering::Relaxed);
    // More than there are connections.
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let url = ingest.url.clone();
        asking.spawn(async move { readiness(&url).await });
    }
    while let Some(answer) = asking.join_next().await {
        let (status, body) = answer.unwrap();
        assert_eq!(status, 503, "{body}");
        let seen = json!({"ready": false, "postgresql": "unreachable", "redis": "ok"});
        assert_eq!(body, seen);
    }
    silent.store(false, Ordering::Relaxed);
    wait_until_ready(&ingest.url).await;
}
