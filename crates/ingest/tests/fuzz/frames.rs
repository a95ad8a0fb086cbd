//! What lies below the body: HTTP itself, written by hand.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use store::testing::fuzz::{Chance, Effort, announced_seed, mutate};

use crate::shop::{Shop, sale};

/// Cases that take seconds.
const CASES: usize = 100;
/// How long an answer is waited for before hanging up.
const LITTLE: Duration = Duration::from_millis(300);
/// Longer than the server waits for anything.
const PATIENCE: Duration = Duration::from_secs(40);

/// Broken HTTP is answered with 4xx or by hanging up; what is answered 202 is recorded; whoever comes
/// next is served.
#[tokio::test]
async fn fuzz_broken_http_is_refused_and_disturbs_nobody() {
    let mut chance = Chance::new(announced_seed("-p ingest --test fuzz"));
    let mut shop = Shop::open().await;
    let before = shop.stored().await;
    let mut accepted = 0;
    for case in Effort::cases(CASES).run() {
        let request = request(&mut chance, case, &shop.key);
        let answer = exchange(&shop.ingest.url, &request);
        let shown = String::from_utf8_lossy(&request).chars().take(2_000).collect::<String>();
        let context = format!("case {case}: {shown}\nanswered {answer}");
        let statuses: Vec<&str> = answer
            .match_indices("HTTP/1.1 ")
            .filter_map(|(at, start)| answer.get(at + start.len()..at + start.len() + 3))
            .collect();
        assert!(statuses.iter().all(|status| *status < "500"), "{context}");
        accepted += statuses.iter().filter(|status| **status == "202").count();
        assert!(shop.ingest.is_running(), "{context}");
    }
    let next = shop.post("/v1/events", sale(77).to_string().into_bytes()).await;
    assert_eq!(next.status, 202);
    // Who hangs up before the answer has been heard all the same.
    let after = shop.stored().await;
    assert!(accepted > 5, "only {accepted} were accepted: the test has lost its way");
    assert!(after.0 - before.0 > i64::try_from(accepted).unwrap(), "lost of {accepted}");
    assert_eq!((before.1, before.2), (after.1, after.2));
    shop.assert_memory_is_bounded();
}

/// Sends everything, hears the answer or waits for it a little, hangs up, and reads to the end.
fn exchange(url: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    // It may hang up before it has heard everything.
    let _ = stream.write_all(request);
    stream.set_read_timeout(Some(LITTLE)).unwrap();
    let mut answer = vec![0; 1 << 16];
    let heard = stream.read(&mut answer).unwrap_or(0);
    answer.truncate(heard);
    let _ = stream.shutdown(Shutdown::Write);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("it hangs"),
        _ => String::from_utf8_lossy(&answer).into_owned(),
    }
}

fn request(chance: &mut Chance, case: usize, key: &str) -> Vec<u8> {
    let mut sale = sale(1);
    sale["id"] = format!("frame-{case}").into();
    let body = sale.to_string();
    let half = body.len() / 2;
    let size = body.len();
    let framing = match chance.below(10) {
        0 => format!("Content-Length: {size}\r\n\r\n{body}"),
        1 => format!("Content-Length: {}\r\n\r\n{body}", size + 7),
        2 => format!("Content-Length: {half}\r\n\r\n{body}"),
        3 => format!("Content-Length: 99999999999999999999\r\n\r\n{body}"),
        4 => format!("Content-Length: -1\r\nContent-Length: {size}\r\n\r\n{body}"),
        5 => {
            format!("Transfer-Encoding: chunked\r\nContent-Length: {size}\r\n\r\n{}", chunks(&body))
        }
        6 => format!("Content-Encoding: gzip\r\nContent-Length: {size}\r\n\r\n{body}"),
        7 => format!("Expect: 100-continue\r\nContent-Length: {size}\r\n\r\n{body}"),
        8 => format!("Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{body}"),
        _ => format!("Transfer-Encoding: chunked\r\n\r\n{}", chunks(&body)),
    };
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n"
    );
    let mut request = format!("{head}{framing}").into_bytes();
    if chance.once_in(2) {
        mutate(chance, &mut request);
    }
    if chance.once_in(20) {
        let count = chance.within(1..5_000);
        request = chance.bytes(count);
    }
    request
}

fn chunks(body: &str) -> String {
    let (first, second) = body.split_at(body.len() / 2);
    format!("{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", first.len(), second.len())
}

/// The client of a broken body is not told that it was slow, nor the other way round.
#[tokio::test]
async fn a_late_body_is_told_from_a_broken_one() {
    let shop = Shop::open().await;
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n",
        shop.key
    );
    for (rest, status) in [
        ("Content-Length: 100\r\n\r\n{\"a\"", "408"),
        ("Transfer-Encoding: chunked\r\n\r\nzz\r\n{\"a\"", "400"),
    ] {
        let mut stream = TcpStream::connect(shop.ingest.url.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("{head}{rest}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
}
