//! A request as the bytes on the wire, in which sales can be numbered anew without building it
//! again.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Digits of a sale's number.
const DIGITS: usize = 12;

/// `POST /v1/events` with one sale, or with a list.
#[derive(Clone, Debug)]
pub(super) struct Request {
    bytes: Vec<u8>,
    /// Where each sale's number begins.
    numbers: Vec<usize>,
}

impl Request {
    /// A request with `sales` sales of the sellers in turn; one is no list.
    pub(super) fn new(key: &str, sellers: &[Uuid], at: DateTime<Utc>, sales: u16) -> Self {
        let at = at.to_rfc3339();
        let sale = |seller: &Uuid| {
            format!(
                r#"{{"type":"SALE","source":"bench","id":"order-{:0DIGITS$}","member_id":"{seller}","amount":"199.90","currency":"EUR","occurred_at":"{at}"}}"#,
                0
            )
        };
        let list: Vec<String> = sellers.iter().cycle().take(usize::from(sales)).map(sale).collect();
        let body = if sales == 1 { list.concat() } else { format!("[{}]", list.join(",")) };
        let request = format!(
            "POST /v1/events HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let numbers = request.match_indices("\"order-").map(|(at, name)| at + name.len());
        Self { numbers: numbers.collect(), bytes: request.into_bytes() }
    }

    /// Numbers the sales from `first` on.
    pub(super) fn number_from(&mut self, first: u64) {
        for (place, number) in self.numbers.iter().zip(first..) {
            let digits = format!("{number:0DIGITS$}");
            self.bytes[*place..place + DIGITS].copy_from_slice(digits.as_bytes());
        }
    }

    pub(super) fn sales(&self) -> u64 {
        self.numbers.len() as u64
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sales_are_numbered_in_place() {
        let mut request = Request::new("lk_key", &[Uuid::nil()], DateTime::UNIX_EPOCH, 3);
        let before = request.bytes().len();
        request.number_from(7);
        let text = String::from_utf8(request.bytes().to_vec()).unwrap();
        assert_eq!(text.len(), before);
        let (headers, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(headers.ends_with(&format!("content-length: {}", body.len())), "{headers}");
        let sales: Vec<serde_json::Value> = serde_json::from_str(body).unwrap();
        let ids: Vec<&str> = sales.iter().map(|sale| sale["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["order-000000000007", "order-000000000008", "order-000000000009"]);
    }
}
