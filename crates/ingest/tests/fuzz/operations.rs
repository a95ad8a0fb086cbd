//! Every operation of the document, with values made from its own schemas.

use reqwest::Method;
use serde_json::Value;
use store::keys::Scope;
use store::testing::fuzz::{Chance, Effort, NASTY, announced_seed};

use crate::document::{Document, Operation};
use crate::shop::{Answer, MEMBERS, Shop, member};
use crate::values::{Known, fitting, spoil, uuid};

/// Cases that take seconds.
const CASES: usize = 900;

/// Who asks.
struct Caller {
    key: Option<String>,
    scopes: Vec<Scope>,
}

async fn callers(shop: &Shop) -> Vec<Caller> {
    let mut callers = vec![
        Caller { key: None, scopes: Vec::new() },
        Caller { key: Some("lk_nobody_0".to_owned()), scopes: Vec::new() },
    ];
    for scope in Scope::ALL {
        callers.push(Caller { key: Some(shop.world.key(&[scope]).await), scopes: vec![scope] });
    }
    callers
}

/// Every answer is one that the document announces; nobody gets in without the scope; nothing is
/// changed by reading, or by what is refused.
#[tokio::test]
async fn fuzz_the_document_says_what_is_answered() {
    let mut chance = Chance::new(announced_seed("-p ingest --test fuzz"));
    let shop = Shop::open().await;
    let answer = Shop::send(shop.request(Method::GET, "/openapi.json", None)).await;
    let document = Document::new(answer.json());
    assert!(document.operations.len() >= 22, "{} operations", document.operations.len());
    let known = known(&shop).await;
    let everything = Caller { key: Some(shop.key.clone()), scopes: Scope::ALL.to_vec() };
    let callers = callers(&shop).await;
    for case in Effort::cases(CASES).run() {
        // Each in turn, so that none is left out.
        let operation = &document.operations[case % document.operations.len()];
        let caller = if chance.once_in(4) { chance.of(&callers) } else { &everything };
        let (path, body) = request(&mut chance, &document, operation, &known);
        let method: Method = operation.method.to_uppercase().parse().unwrap();
        let mut request = shop.request(method, &path, caller.key.as_deref());
        if let Some(body) = &body {
            let kind = *chance.of(&["application/json", "application/json", "text/plain", "x"]);
            request = request.header("content-type", kind).body(body.to_string());
        }
        let before = shop.stored().await;
        let answer = Shop::send(request).await;
        let after = shop.stored().await;
        let asked = || {
            let mut body = body.as_ref().map(ToString::to_string).unwrap_or_default();
            body.truncate(body.floor_char_boundary(3_000));
            let said = String::from_utf8_lossy(&answer.body);
            format!(
                "case {case}: {} {path}\n{body}\nanswered {} {said}",
                operation.name(),
                answer.status
            )
        };
        let complaint =
            document.complaint(operation, answer.status, &answer.content_type, &answer.body);
        assert_eq!(complaint, None, "{}", asked());
        check_access(operation, caller, &answer, &asked);
        check_effects(operation, &answer, &before, &after, &asked);
        if let Some(body) = &body
            && answer.status < 300
        {
            assert!(document.allows(operation, body), "taken against the schema: {}", asked());
        }
    }
    shop.assert_memory_is_bounded();
}

fn check_access(
    operation: &Operation,
    caller: &Caller,
    answer: &Answer,
    asked: &dyn Fn() -> String,
) {
    let Some(scope) = &operation.scope else { return };
    if caller.scopes.is_empty() {
        assert_eq!(answer.status, 401, "{}", asked());
        assert!(answer.challenges, "{}", asked());
        return;
    }
    let is_allowed = caller.scopes.iter().any(|held| held.name() == scope);
    assert_eq!(answer.status == 403, !is_allowed, "{}", asked());
    assert_ne!(answer.status, 401, "{}", asked());
}

type Stored = (i64, String, String);

fn check_effects(
    operation: &Operation,
    answer: &Answer,
    before: &Stored,
    after: &Stored,
    asked: &dyn Fn() -> String,
) {
    assert_eq!(before.2, after.2, "what no request may touch was changed: {}", asked());
    let changes = operation.method != "get" && answer.status < 300;
    let records = changes && operation.path == "/v1/events";
    if records {
        let answered = match answer.json() {
            Value::Array(several) => several,
            one => vec![one],
        };
        let new = answered.iter().filter(|one| one["status"] == "accepted").count();
        assert_eq!(after.0 - before.0, i64::try_from(new).unwrap(), "{}", asked());
    } else {
        assert_eq!(before.0, after.0, "events: {}", asked());
    }
    if records || !changes {
        assert_eq!(before.1, after.1, "the network was changed: {}", asked());
    }
}

async fn known(shop: &Shop) -> Known {
    let events = "select id::text from events";
    Known {
        members: (0..MEMBERS).map(member).collect(),
        events: sqlx::query_scalar(events).fetch_all(&shop.world.owner).await.unwrap(),
        texts: ["shop-eu", "order-1", "m-3", "m-4", "2026-11", "2023-05", "true"]
            .map(str::to_owned)
            .to_vec(),
    }
}

/// The path with its query, and the body.
fn request(
    chance: &mut Chance,
    document: &Document,
    operation: &Operation,
    known: &Known,
) -> (String, Option<Value>) {
    let mut path = operation.path.clone();
    let mut query = Vec::new();
    for parameter in &operation.parameters {
        let name = parameter["name"].as_str().unwrap();
        let mut value = fitting(chance, document, known, &parameter["schema"], name);
        if chance.once_in(6) {
            spoil(chance, &mut value);
        }
        let text = match &value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let text: String = text.chars().take(2_000).collect();
        if parameter["in"] == "path" {
            // An empty piece, or one of dots, would be another path.
            let text = if text.is_empty() || text.starts_with('.') { uuid(chance) } else { text };
            path = path.replace(&format!("{{{name}}}"), &encoded(&text));
        } else if parameter["required"] == true && !chance.once_in(12) || chance.once_in(3) {
            let times = if chance.once_in(20) { 2 } else { 1 };
            query.extend(vec![format!("{name}={}", encoded(&text)); times]);
        }
    }
    if chance.once_in(12) {
        query.push(format!("{}=1", encoded(NASTY[chance.below(NASTY.len())])));
    }
    if chance.once_in(20) {
        query.push((*chance.of(&["%ff=%fe", "%", "&&==&", "a[]=1", "limit=%00"])).to_owned());
    }
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    let body = operation.body.as_ref().map(|schema| {
        let mut body = fitting(chance, document, known, schema, "body");
        for _ in 0..*chance.of(&[0, 0, 1, 1, 2, 5]) {
            spoil(chance, &mut body);
        }
        body
    });
    (path, body)
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
