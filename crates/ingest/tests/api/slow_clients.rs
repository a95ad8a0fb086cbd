//! Clients that are slow, greedy or strange, at the socket: each is cut off or refused in time, and
//! nobody else notices.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use store::keys::Scope;

use crate::client::{Api, sale};

/// How long the server may take on a busy machine for what it should do after a second or two.
const PATIENCE: Duration = Duration::from_secs(30);
/// Limits of a second, where the defaults would make a test wait.
const HASTY: [&str; 4] = ["--headers-timeout", "1", "--transfer-timeout", "1"];

fn connect(api: &Api) -> TcpStream {
    let stream = TcpStream::connect(api.ingest.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Everything up to the end of the connection, which is the server's doing.
fn rest(stream: &mut TcpStream) -> String {
    let (mut rest, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => rest.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("the server does not close the connection: {error}"),
        }
    }
    String::from_utf8(rest).unwrap()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {answer:?}")).parse().unwrap()
}

/// The headers of a post with the key, with further ones.
fn head(api: &Api, further: &str) -> String {
    head_of(api.key(), further)
}

fn head_of(key: &str, further: &str) -> String {
    format!("POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{further}\r\n")
}

/// Sends a piece every tenth of a second until the server has had enough.
fn drip(stream: &mut TcpStream, piece: &[u8]) {
    let begun = Instant::now();
    while stream.write_all(piece).is_ok() {
        assert!(begun.elapsed() < PATIENCE, "the server takes it for ever");
        std::thread::sleep(Duration::from_millis(100));
        stream.set_nonblocking(true).unwrap();
        let closed = stream.peek(&mut [0]).is_ok();
        stream.set_nonblocking(false).unwrap();
        if closed {
            break;
        }
    }
}

#[tokio::test]
async fn headers_that_drip_or_never_come_end_the_connection() {
    let api = Api::start_with(&HASTY).await;
    let mut silent = connect(&api);
    let mut dripping = connect(&api);
    dripping.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n").unwrap();
    drip(&mut dripping, b"x: 1\r\n");
    assert_eq!(rest(&mut dripping), "");
    assert_eq!(rest(&mut silent), "");
    let mut kept = connect(&api);
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let answer = rest(&mut kept);
    assert_eq!(status(&answer), 200, "a connection that is kept without use is closed: {answer}");
}

#[tokio::test]
async fn bodies_that_drip_or_never_end_are_answered_408() {
    let api = Api::start_with(&HASTY).await;
    let mut stuck = connect(&api);
    stuck.write_all(head(&api, "Content-Length: 100\r\n").as_bytes()).unwrap();
    stuck.write_all(b"{").unwrap();
    let mut dripping = connect(&api);
    dripping.write_all(head(&api, "Content-Length: 100000\r\n").as_bytes()).unwrap();
    drip(&mut dripping, b" ");
    let mut endless = connect(&api);
    endless.write_all(head(&api, "Transfer-Encoding: chunked\r\n").as_bytes()).unwrap();
    drip(&mut endless, b"1\r\n \r\n");
    for stream in [&mut stuck, &mut dripping, &mut endless] {
        let answer = rest(stream);
        assert_eq!(status(&answer), 408, "{answer}");
        assert!(answer.contains("/problems/too-slow"), "{answer}");
    }
    assert_eq!(api.events().await, 0);
}

#[tokio::test]
async fn bodies_are_refused_by_their_length_before_or_while_they_arrive() {
    let api = Api::start().await;
    let mut announced = connect(&api);
    let further = "Content-Length: 3000000\r\nExpect: 100-continue\r\n";
    announced.write_all(head(&api, further).as_bytes()).unwrap();
    let answer = rest(&mut announced);
    assert_eq!(status(&answer), 413, "at once, and nobody is told to continue: {answer}");
    let mut chunked = connect(&api);
    chunked.write_all(head(&api, "Transfer-Encoding: chunked\r\n").as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let mut sent = 0;
    while sent < 4 << 20 && chunked.write_all(chunk.as_bytes()).is_ok() {
        sent += 0x10000;
    }
    // Who is still writing may meet the closed end before the answer.
    let answer = rest(&mut chunked);
    assert!(answer.is_empty() || status(&answer) == 413, "{answer}");
    assert_eq!(api.events().await, 0);
    // Who asks first and then sends is served.
    let body = sale("1").to_string();
    let mut polite = connect(&api);
    let further =
        format!("Content-Length: {}\r\nExpect: 100-continue\r\nConnection: close\r\n", body.len());
    polite.write_all(head(&api, &further).as_bytes()).unwrap();
    let mut told = [0; 25];
    polite.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    polite.write_all(body.as_bytes()).unwrap();
    let answer = rest(&mut polite);
    assert_eq!(status(&answer), 202, "{answer}");
}

/// What is announced takes no memory, and so it takes none from others: only what arrives does.
#[tokio::test]
async fn bodies_that_are_announced_and_do_not_come_take_no_room_from_others() {
    let api = Api::start_with(&["--body-memory", "2"]).await;
    let reader = api.world.key(&[Scope::Read]).await;
    let writer = api.world.key(&[Scope::EventsWrite]).await;
    for (key, is_refused) in [(reader, true), (writer, false)] {
        let mut slow: Vec<TcpStream> = (0..40).map(|_| connect(&api)).collect();
        for stream in &mut slow {
            let head = head_of(&key, "Content-Length: 2097152\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(b"[").unwrap();
        }
        for number in 0..20 {
            let (status, said) = api.post("/v1/events", &sale(&number.to_string())).await;
            assert_eq!(status, 202, "{said}");
        }
        // Who lacks the scope is told so without sending the rest; who has it is waited for.
        for stream in &mut slow {
            if is_refused {
                let mut answer = [0; 12];
                stream.read_exact(&mut answer).unwrap();
                assert_eq!(&answer, b"HTTP/1.1 403");
            } else {
                stream.set_nonblocking(true).unwrap();
                let waits = stream.peek(&mut [0]).unwrap_err().kind();
                assert_eq!(waits, ErrorKind::WouldBlock);
            }
        }
    }
}

#[tokio::test]
async fn heads_are_limited_in_number_and_size() {
    let api = Api::start().await;
    for (request, expected) in [
        (format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{}\r\n", "x: 1\r\n".repeat(65)), 431),
        (format!("GET /healthz HTTP/1.1\r\nHost: x\r\nx: {}\r\n\r\n", "1".repeat(40_000)), 431),
        (format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(40_000)), 431),
        (
            format!("GET /{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "x".repeat(9_000)),
            404,
        ),
        ("nonsense\r\n\r\n".to_owned(), 400),
    ] {
        let mut stream = connect(&api);
        let _ = stream.write_all(request.as_bytes());
        let answer = rest(&mut stream);
        assert_eq!(status(&answer), expected, "{request:.60}: {answer}");
    }
}

/// A client that asks and asks and never reads: the answers back up to the server, which must not
/// keep them for ever.
#[tokio::test]
async fn who_takes_no_answers_is_cut_off() {
    let api = Api::start_with(&HASTY).await;
    let mut greedy = connect(&api);
    greedy.set_write_timeout(Some(PATIENCE)).unwrap();
    let requests = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(64);
    let begun = Instant::now();
    let error = loop {
        match greedy.write_all(requests.as_bytes()) {
            Ok(()) => assert!(begun.elapsed() < PATIENCE, "the server takes requests for ever"),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
        "the server closes the connection: {error}"
    );
    assert_eq!(api.get("/healthz").await.0, 200);
}

/// Pipelined requests are answered in their order, one after the other.
#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let api = Api::start().await;
    let mut stream = connect(&api);
    let mut requests = String::new();
    for number in 0..20 {
        let body = sale(&number.to_string()).to_string();
        let close = if number == 19 { "Connection: close\r\n" } else { "" };
        requests += &head(&api, &format!("Content-Length: {}\r\n{close}", body.len()));
        requests += &body;
    }
    stream.write_all(requests.as_bytes()).unwrap();
    let answers = rest(&mut stream);
    assert_eq!(answers.matches("HTTP/1.1 202 Accepted").count(), 20, "{answers}");
    assert_eq!(api.events().await, 20);
}

/// Sockets that are held for nothing lock nobody out for long: while connections are short, who
/// waits is closed early, and who comes too many is told so.
#[tokio::test]
async fn idle_connections_make_room_for_others() {
    let api = Api::start_with(&["--client-connections", "16"]).await;
    let mut held: Vec<TcpStream> = (0..16).map(|_| connect(&api)).collect();
    for stream in &mut held {
        stream.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    }
    let begun = Instant::now();
    let mut refused = 0;
    loop {
        let mut stream = connect(&api);
        let request = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let _ = stream.write_all(request.as_bytes());
        let answer = rest(&mut stream);
        match answer.as_str() {
            "" => {}
            _ if status(&answer) == 503 => {
                assert!(answer.contains("retry-after") && answer.contains("/problems/overloaded"));
                refused += 1;
            }
            _ => break assert_eq!(status(&answer), 200, "{answer}"),
        }
        assert!(begun.elapsed() < PATIENCE, "the server serves nobody");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(refused > 0, "all connections were taken");
    let metrics = reqwest::get(format!("{}/metrics", api.ingest.metrics_url)).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(!metrics.contains("lineage_http_shed_total{why=\"connections\"} 0\n"), "{metrics}");
}
