//! What a scenario expects, as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::amount::Amount;
use crate::sale::Currency;

/// What should come of a scenario. What is not named is not compared.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Expectations")]
pub struct ExpectFile {
    /// Money by member, over all sales.
    #[serde(default)]
    pub totals: Option<BTreeMap<String, MoneyFile>>,
    /// Career points by member, over all sales.
    #[serde(default)]
    pub career_points: Option<BTreeMap<String, Amount>>,
    /// Lines of the ledger, in any order.
    #[serde(default)]
    pub ledger: Option<Vec<ExpectedLine>>,
    /// Money that nobody gets, by sale: all of it, or by reason.
    #[serde(default)]
    pub breakage: BTreeMap<String, BreakageFile>,
    /// Why somebody got nothing, or less than was offered.
    #[serde(default)]
    pub reasons: Vec<ExpectedReason>,
    /// Sales that wait at the end, each with the cause.
    #[serde(default)]
    pub unsettled: BTreeMap<String, String>,
    /// `totals` and `ledger` list everything that is paid, and `career_points` and `breakage` what
    /// they are about.
    #[serde(default)]
    pub complete: bool,
}

/// Money of one currency, or by currency.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "an amount in quotes, or amounts in quotes by currency")]
#[schemars(rename = "Money")]
pub enum MoneyFile {
    /// Where there is one currency.
    Single(Amount),
    /// By currency.
    #[schemars(with = "BTreeMap<String, Amount>")]
    ByCurrency(BTreeMap<Currency, Amount>),
}

/// The breakage of a sale.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "an amount in quotes, or amounts in quotes by reason")]
#[schemars(rename = "Breakage")]
pub enum BreakageFile {
    /// All of it.
    Total(Amount),
    /// By reason, such as `inactive` or `capped`.
    ByReason(BTreeMap<String, Amount>),
}

/// A line that should be in the ledger. What is absent is not compared.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedLine {
    /// The sale.
    pub event: String,
    /// Who is paid.
    pub member: String,
    /// The level; 0 is the seller.
    #[serde(default)]
    pub level: Option<u16>,
    /// Money.
    #[serde(default)]
    pub amount: Option<Amount>,
    /// The currency of `amount`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub currency: Option<Currency>,
    /// Career points.
    #[serde(default)]
    pub career_points: Option<Amount>,
    /// Such as `LEVEL_COMMISSION`.
    #[serde(default, rename = "type")]
    pub entry_type: Option<String>,
    /// The rule's id.
    #[serde(default)]
    pub rule: Option<String>,
    /// How far above the seller the member stands.
    #[serde(default)]
    pub depth: Option<u16>,
}

/// A decision that should have been made. What is absent is not compared, but the member: without
/// one, nobody was there.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedReason {
    /// The sale.
    pub event: String,
    /// Who got nothing, or less than was offered; absent: nobody was there.
    #[serde(default)]
    pub member: Option<String>,
    /// The rule's id.
    #[serde(default)]
    pub rule: Option<String>,
    /// The level.
    #[serde(default)]
    pub level: Option<u16>,
    /// Why, such as `under_rank` or `compressed`.
    #[serde(default)]
    pub reason: Option<String>,
    /// What lies behind `compressed` and `rolled_up`, such as `inactive`.
    #[serde(default)]
    pub because: Option<String>,
}
