//! What is paid of what: percentages of an amount or a volume, or fixed amounts.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::Deal;
use crate::amount::{Amount, Exact, Percentage, PointValue};
use crate::decision::{OutOfRange, Reward};
use crate::flaws::Compiler;
use crate::sale::Currency;

/// Fixed amounts by currency. A sale in another currency gets nothing.
pub type Amounts = BTreeMap<Currency, Amount>;

/// What percentages are taken of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The sale's commissionable value.
    #[default]
    Amount,
    /// The sale's volume.
    Volume,
}

/// What percentages are taken of, and what a point of volume is worth. Without point values it is
/// worth one unit of the sale's currency.
#[derive(Clone, Copy, Debug)]
pub struct Worth<'a> {
    pub(super) basis: Basis,
    pub(super) point_value: &'a BTreeMap<Currency, PointValue>,
}

/// The sale's currency is missing in a list of fixed amounts or point values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRate;

impl Worth<'_> {
    /// The basis as it stands in the sale, in money or points.
    pub(super) fn measure(self, deal: &Deal<'_>) -> Amount {
        match self.basis {
            Basis::Amount => deal.amount,
            Basis::Volume => deal.volume,
        }
    }

    /// What a point is worth here.
    fn point(self, deal: &Deal<'_>) -> Result<PointValue, NoRate> {
        match self.basis {
            Basis::Volume if !self.point_value.is_empty() => {
                self.point_value.get(&deal.sale.currency).copied().ok_or(NoRate)
            }
            Basis::Amount | Basis::Volume => Ok(PointValue::ONE),
        }
    }

    /// The money that an amount of the basis stands for.
    pub(super) fn money(
        self,
        deal: &Deal<'_>,
        of: Amount,
    ) -> Result<Result<Exact, NoRate>, OutOfRange> {
        let Ok(point) = self.point(deal) else { return Ok(Err(NoRate)) };
        Exact::from(of).at(point).map(Ok).ok_or(OutOfRange)
    }

    /// A share of the whole basis: money with its point value, career points without.
    pub(super) fn share(
        self,
        deal: &Deal<'_>,
        money: Percentage,
        points: Percentage,
    ) -> Result<Result<Reward, NoRate>, OutOfRange> {
        let measure = self.measure(deal);
        let exact = match self.money(deal, measure)? {
            Ok(exact) => exact.percent(money).ok_or(OutOfRange)?,
            Err(NoRate) => return Ok(Err(NoRate)),
        };
        let money = deal.rounding.round(exact).ok_or(OutOfRange)?;
        Ok(Ok(Reward { money, points: deal.rounding.share(measure, points) }))
    }

    /// `3.00 % of 199.9000 GBP = 5.9970`; where rounding changed it, the exact product too.
    pub(super) fn product(self, deal: &Deal<'_>, money: Percentage, result: Amount) -> String {
        let measure = self.measure(deal);
        let left = match (self.basis, self.point(deal)) {
            (Basis::Amount, _) | (_, Err(NoRate)) => {
                format!("{money} % of {measure} {}", deal.sale.currency)
            }
            (Basis::Volume, Ok(value)) if value == PointValue::ONE => {
                format!("{money} % of {measure} volume")
            }
            (Basis::Volume, Ok(value)) => {
                format!("{money} % of {measure} volume at {value} {} a point", deal.sale.currency)
            }
        };
        let exact = match self.money(deal, measure) {
            Ok(Ok(exact)) => exact.percent(money),
            _ => None,
        };
        equation(&left, exact, result)
    }

    /// The same for career points, which know no money.
    pub(super) fn points_product(
        self,
        deal: &Deal<'_>,
        points: Percentage,
        result: Amount,
    ) -> String {
        let measure = self.measure(deal);
        let unit = match self.basis {
            Basis::Amount => deal.sale.currency.code(),
            Basis::Volume => "volume",
        };
        let left = format!("{points} % of {measure} {unit}");
        format!("{} career points", equation(&left, Exact::from(measure).percent(points), result))
    }

    /// What percentages are taken of, for people who read the plan.
    pub(super) fn describe(self) -> String {
        match self.basis {
            Basis::Amount => "the sale's amount".to_owned(),
            Basis::Volume if self.point_value.is_empty() => "the sale's volume".to_owned(),
            Basis::Volume => {
                let values = self.point_value.iter();
                let values = values.map(|(currency, value)| format!("{value} {currency}"));
                let values: Vec<String> = values.collect();
                format!("the sale's volume, a point at {}", values.join(" or "))
            }
        }
    }
}

/// `left = result`; where rounding changed it, `left = exact, rounded result`.
pub(super) fn equation(left: &str, exact: Option<Exact>, result: Amount) -> String {
    // Equal values print equally.
    match exact.filter(|exact| exact.to_string() != result.to_string()) {
        Some(exact) => format!("{left} = {exact}, rounded {result}"),
        None => format!("{left} = {result}"),
    }
}

/// Amounts for people: `5.0000 EUR or 120.0000 CZK`.
pub(super) fn phrase(amounts: &Amounts) -> String {
    let each = amounts.iter().map(|(currency, amount)| format!("{amount} {currency}"));
    each.collect::<Vec<_>>().join(" or ")
}

/// Amounts that are paid cannot be negative, and a list of none says nothing.
pub(super) fn check_amounts(at: &str, amounts: &Amounts, compiler: &mut Compiler<'_>) {
    compiler.require(at, !amounts.is_empty(), || {
        "must name at least one currency, such as {EUR: \"5.00\"}".to_owned()
    });
    for (currency, amount) in amounts {
        compiler.require(&format!("{at}.{currency}"), *amount >= Amount::ZERO, || {
            "must not be negative".to_owned()
        });
    }
}

/// Point values that nothing is multiplied by are a mistake.
pub(super) fn check_point_value(
    basis: Basis,
    point_value: &BTreeMap<Currency, PointValue>,
    compiler: &mut Compiler<'_>,
) {
    compiler.require("point_value", point_value.is_empty() || basis == Basis::Volume, || {
        "belongs to `basis: volume`; amounts are money already".to_owned()
    });
}

/// In the schema: exactly one of these fields is given.
pub(super) fn one_of(schema: &mut Schema, fields: &[&str]) {
    let forms: Vec<serde_json::Value> =
        fields.iter().map(|field| serde_json::json!({ "required": [field] })).collect();
    schema.insert("oneOf".to_owned(), forms.into());
}

/// In the schema: a percentage, or fixed amounts.
pub(super) fn percentage_or_amount(schema: &mut Schema) {
    one_of(schema, &["percentage", "amount"]);
}
