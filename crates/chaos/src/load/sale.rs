//! Sales: made up from the seed, written as JSON.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use reqwest::Method;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use uuid::Uuid;

use super::World;
use super::client::{Caller, Request};
use crate::evidence::PostedSale;
use crate::random::Random;

/// The name space of events' ids, as ARCHITECTURE.md fixes it for ever.
const EVENT_NAMESPACE: Uuid = Uuid::from_u128(0x9f1d_3c5e_0a5b_5c0e_8b1d_6a6f_4c69_6e65);

/// The sales of one shop.
pub(crate) struct Books {
    source: String,
    written: u64,
    pub(crate) random: Random,
}

impl Books {
    pub(crate) fn new(source: &str, random: Random) -> Self {
        Self { source: source.to_owned(), written: 0, random }
    }

    /// A new sale of an enrolled member, now.
    pub(crate) fn sale(&mut self, world: &World) -> PostedSale {
        let member_id = world.any_member(&mut self.random);
        self.sale_of(member_id, now())
    }

    /// A new sale of a member at a moment.
    pub(crate) fn sale_of(&mut self, member_id: Uuid, occurred_at: DateTime<Utc>) -> PostedSale {
        self.written += 1;
        let external_id = format!("order-{}", self.written);
        let named = format!("{}\u{1f}{external_id}", self.source);
        PostedSale {
            event_id: Uuid::new_v5(&EVENT_NAMESPACE, named.as_bytes()),
            source: self.source.clone(),
            external_id,
            member_id,
            amount: self.amount(),
            currency: ["EUR", "EUR", "EUR", "CZK", "CZK", "USD"][self.random.index(6)].to_owned(),
            occurred_at,
        }
    }

    /// Sums of every size, with two to four decimals, so that rounding has something to do.
    fn amount(&mut self) -> Decimal {
        let digits = [1_000, 100_000, 10_000_000][self.random.index(3)];
        let units = self.random.between(1, digits);
        let decimals = [2, 2, 3, 4][self.random.index(4)];
        Decimal::new(i64::try_from(units).unwrap_or(1), decimals)
    }

    /// A moment days or months ago.
    pub(crate) fn long_ago(&mut self) -> DateTime<Utc> {
        let days = if self.random.percent(70) { 10 } else { 240 };
        let seconds = i64::try_from(self.random.between(60, days * 86_400)).unwrap_or(60);
        now() - TimeDelta::seconds(seconds)
    }

    /// A moment that shops with many tills report: a little ago, or a little ahead.
    pub(crate) fn about_now(&mut self) -> DateTime<Utc> {
        let seconds = i64::try_from(self.random.between(0, 150)).unwrap_or(0);
        now() + TimeDelta::seconds(30 - seconds)
    }
}

/// PostgreSQL keeps microseconds.
#[expect(clippy::disallowed_methods, reason = "a shop has a clock of its own")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// One sale as an object, several as a list.
pub(crate) fn request(sales: &[PostedSale]) -> Request {
    let body = match sales {
        [only] => written(only),
        many => many.iter().map(written).collect(),
    };
    Request { caller: Caller::Shop, method: Method::POST, path: "/v1/events".to_owned(), body }
}

fn written(sale: &PostedSale) -> Value {
    json!({
        "type": "SALE",
        "source": sale.source,
        "id": sale.external_id,
        "member_id": sale.member_id,
        "amount": sale.amount.to_string(),
        "currency": sale.currency,
        "occurred_at": sale.occurred_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_that_the_api_promises() {
        let id = Uuid::new_v5(&EVENT_NAMESPACE, "shop-eu\u{1f}order-1001".as_bytes());
        assert_eq!(id.to_string(), "03d6503c-8434-5c56-a368-f466aee7305a");
    }
}
