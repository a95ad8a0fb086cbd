//! Whom conditions are asked about: a sale with its seller, and somebody who might be paid.

use chrono::TimeDelta;

use super::{Field, Subject, Value};
use crate::amount::Amount;
use crate::inputs::{Inputs, Visit};
use crate::sale::{Sale, SaleLine};

/// A sale, or one of its lines, as conditions see it.
#[derive(Clone, Copy, Debug)]
pub struct SaleView<'a> {
    /// The sale.
    pub sale: &'a Sale,
    /// The line; `None`: the sale as a whole.
    pub line: Option<&'a SaleLine>,
    /// The seller as they stood.
    pub seller: &'a Visit,
}

impl Subject for SaleView<'_> {
    fn value(&self, field: Field) -> Option<Value<'_>> {
        let Self { sale, line, seller } = *self;
        let text = |text: &'static str| Some(Value::Text(text));
        match field {
            Field::SaleAmount => Some(Value::Number(sale.amount)),
            Field::SaleVolume => Some(Value::Number(sale.volume)),
            Field::SaleLineAmount => {
                Some(Value::Number(line.map_or(sale.amount, |line| line.amount)))
            }
            Field::SaleLineVolume => {
                Some(Value::Number(line.map_or(sale.volume, |line| line.volume)))
            }
            Field::SaleQuantity => line.map(|line| Value::Number(line.quantity)),
            Field::SaleCurrency => Some(Value::Text(sale.currency.code())),
            Field::SaleSourceType => text(sale.source_type.name()),
            Field::SaleProductId => match line {
                Some(line) => Some(Value::Text(&line.product_id)),
                None => sale.product_id.as_deref().map(Value::Text),
            },
            Field::SaleCategory => line?.category.as_deref().map(Value::Text),
            Field::SaleOrderKind => text(sale.order_kind.name()),
            Field::SaleMarket => sale.market.as_deref().map(Value::Text),
            Field::SaleBuyerType => text(sale.buyer_type?.name()),
            Field::SellerStatus => text(seller.status.name()),
            Field::SellerRank => Some(Value::Rank(seller.rank)),
            Field::SellerDaysSinceJoining => days_since_joining(seller, sale).map(Value::Number),
            Field::BeneficiaryRank
            | Field::BeneficiaryDaysSinceJoining
            | Field::BeneficiaryLevel
            | Field::BeneficiaryDepth => None,
        }
    }
}

impl<'a> SaleView<'a> {
    /// Everything that chooses rules by itself: the lines, or the sale as a whole.
    pub fn all(sale: &'a Sale, inputs: &'a Inputs) -> impl Iterator<Item = Self> {
        let seller = &inputs.seller;
        let whole = sale.lines.is_empty().then_some(Self { sale, line: None, seller });
        let lines = sale.lines.iter().map(move |line| Self { sale, line: Some(line), seller });
        whole.into_iter().chain(lines)
    }
}

/// A member who might take something.
pub(crate) struct Candidate<'a> {
    pub(crate) visit: &'a Visit,
    pub(crate) level: u16,
    pub(crate) depth: u16,
    pub(crate) sale: &'a Sale,
}

impl Subject for Candidate<'_> {
    fn value(&self, field: Field) -> Option<Value<'_>> {
        let whole = |number: u16| Amount::from_units(i128::from(number) * 10_000);
        match field {
            Field::BeneficiaryRank => Some(Value::Rank(self.visit.rank)),
            Field::BeneficiaryDaysSinceJoining => {
                days_since_joining(self.visit, self.sale).map(Value::Number)
            }
            Field::BeneficiaryLevel => whole(self.level).map(Value::Number),
            Field::BeneficiaryDepth => whole(self.depth).map(Value::Number),
            _ => None,
        }
    }
}

/// Whole 24-hour days from joining to the sale; none before joining.
fn days_since_joining(visit: &Visit, sale: &Sale) -> Option<Amount> {
    let elapsed = sale.as_of.signed_duration_since(visit.joined_at?);
    let days = elapsed.max(TimeDelta::zero()).num_days();
    Amount::from_units(i128::from(days) * 10_000)
}
