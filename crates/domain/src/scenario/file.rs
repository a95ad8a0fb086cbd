//! A scenario as it is written.

use chrono::{DateTime, NaiveDate, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use yaml_serde::Value;

use super::expected::ExpectFile;
use crate::amount::{Amount, Percentage};
use crate::member::MemberStatus;
use crate::plan::PlanFile;
use crate::sale::{BuyerType, Currency, OrderKind, SourceType};

/// A worked example of what a plan pays: a network, what happens in it, and what is expected.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScenarioFile {
    /// The scenario's name.
    pub scenario: String,
    /// Where the example comes from.
    #[serde(default)]
    pub source: Option<String>,
    /// What the source printed where it differs from what is computed, and why.
    #[serde(default)]
    pub says: Option<String>,
    /// Who in the business agreed.
    #[serde(default)]
    pub confirmed_by: Option<String>,
    /// When they agreed.
    #[serde(default)]
    pub confirmed_on: Option<NaiveDate>,
    /// The programme's calendar; absent: UTC.
    #[serde(default)]
    pub programme: Option<CalendarFile>,
    /// The ladder, lowest rank first.
    pub ranks: Vec<String>,
    /// What is applied before everything else: a plan, the path of a plan file relative to this one,
    /// or a list of them.
    #[serde(default)]
    #[schemars(with = "PlansFile")]
    pub plan: Value,
    /// Who is enrolled from the beginning; indentation is sponsorship.
    #[serde(default)]
    pub network: Vec<MemberFile>,
    /// What happens, in the order in which it is processed.
    #[serde(default)]
    #[schemars(with = "Vec<StepFile>")]
    pub timeline: Vec<Value>,
    /// What should come of it.
    #[serde(default)]
    pub expect: ExpectFile,
}

/// The programme's calendar.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CalendarFile {
    /// An IANA time zone such as `Europe/Prague`, in which days and periods begin.
    pub time_zone: String,
}

/// What can stand for plans. Only for the schema: what is written is read with its path.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum PlansFile {
    /// One.
    One(PlanSourceFile),
    /// Several, applied in this order.
    Several(Vec<PlanSourceFile>),
}

/// What can stand for a plan.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum PlanSourceFile {
    /// The path of a plan file, relative to the scenario.
    Path(String),
    /// The plan itself.
    Inline(Box<PlanFile>),
}

/// A member with everybody below.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberFile {
    /// What the scenario calls the member.
    pub id: String,
    /// For people.
    #[serde(default)]
    pub name: Option<String>,
    /// A rank of the ladder; absent: the lowest.
    #[serde(default)]
    pub rank: Option<String>,
    /// Absent: ACTIVE.
    #[serde(default)]
    pub status: Option<MemberStatus>,
    /// Absent: the beginning of the year 2020.
    #[serde(default)]
    pub joined_at: Option<DateTime<Utc>>,
    /// Whom they sponsor.
    #[serde(default)]
    pub downline: Vec<MemberFile>,
}

/// Something that happens.
#[derive(Clone, Debug, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Step")]
pub enum StepFile {
    /// Somebody sells something.
    Sale(Box<SaleFile>),
    /// Somebody joins.
    Enrol(EnrolFile),
    /// Somebody gets another sponsor.
    Move(MoveFile),
    /// Somebody's status changes.
    Status(StatusFile),
    /// Somebody's rank changes.
    Rank(RankFile),
    /// Somebody shares direct rewards from now on.
    Split(SplitFile),
    /// A plan version is applied.
    Plan(PlanStepFile),
    /// A plan is retired.
    Retire(RetireFile),
}

/// A sale.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Sale")]
pub struct SaleFile {
    /// When it happens.
    pub at: DateTime<Utc>,
    /// What the scenario calls it.
    pub sale: String,
    /// The credited seller.
    pub member: String,
    /// The commissionable value.
    pub amount: Amount,
    /// The currency of `amount`.
    #[schemars(with = "String")]
    pub currency: Currency,
    /// Absent: what the lines' volumes sum up to, or `amount` without lines.
    #[serde(default)]
    pub volume: Option<Amount>,
    /// Absent: PRODUCT.
    #[serde(default)]
    pub source_type: Option<SourceType>,
    /// The product.
    #[serde(default)]
    pub product_id: Option<String>,
    /// Absent: STANDARD.
    #[serde(default)]
    pub order_kind: Option<OrderKind>,
    /// The market.
    #[serde(default)]
    pub market: Option<String>,
    /// Who bought.
    #[serde(default)]
    pub buyer: Option<BuyerFile>,
    /// The order's positions.
    #[serde(default)]
    pub lines: Vec<LineFile>,
}

/// Who bought.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Buyer")]
pub struct BuyerFile {
    /// A member or a customer.
    #[serde(rename = "type")]
    pub kind: BuyerType,
    /// What the shop calls them.
    #[serde(default)]
    pub id: Option<String>,
}

/// A position of an order.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Line")]
pub struct LineFile {
    /// Unique within the sale.
    pub id: String,
    /// The product.
    pub product_id: String,
    /// The kind of product.
    #[serde(default)]
    pub category: Option<String>,
    /// How many: a decimal in quotes, or a whole number.
    pub quantity: QuantityFile,
    /// The position's commissionable value.
    pub amount: Amount,
    /// Absent: the amount.
    #[serde(default)]
    pub volume: Option<Amount>,
}

/// How many. Whole numbers lose no digits, so they may be written as such.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a decimal in quotes, or a whole number")]
#[schemars(rename = "Quantity")]
pub enum QuantityFile {
    /// A decimal in quotes.
    Decimal(Amount),
    /// A whole number.
    Whole(u32),
}

/// An enrolment.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Enrol")]
pub struct EnrolFile {
    /// When it happens.
    pub at: DateTime<Utc>,
    /// Who joins.
    pub enrol: String,
    /// Who sponsors them; absent: the top of a tree.
    #[serde(default)]
    pub sponsor: Option<String>,
    /// For people.
    #[serde(default)]
    pub name: Option<String>,
    /// A rank of the ladder; absent: the lowest.
    #[serde(default)]
    pub rank: Option<String>,
    /// Absent: ACTIVE.
    #[serde(default)]
    pub status: Option<MemberStatus>,
    /// Absent: `at`.
    #[serde(default)]
    pub joined_at: Option<DateTime<Utc>>,
    /// The cause for which it must be refused.
    #[serde(default)]
    pub refused: Option<String>,
}

/// A move.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Move")]
pub struct MoveFile {
    /// From when on.
    pub at: DateTime<Utc>,
    /// Who moves, with everybody below.
    #[serde(rename = "move")]
    pub member: String,
    /// The new sponsor; `null`: the member becomes the top of a tree.
    #[serde(deserialize_with = "nullable")]
    #[schemars(schema_with = "text_or_null")]
    pub to: Option<String>,
    /// The cause for which it must be refused.
    #[serde(default)]
    pub refused: Option<String>,
}

/// A change of status.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Status")]
pub struct StatusFile {
    /// From when on.
    pub at: DateTime<Utc>,
    /// Whose.
    pub status: String,
    /// The new one.
    pub to: MemberStatus,
    /// The cause for which it must be refused.
    #[serde(default)]
    pub refused: Option<String>,
}

/// A change of rank.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RankChange")]
pub struct RankFile {
    /// From when on.
    pub at: DateTime<Utc>,
    /// Whose.
    pub rank: String,
    /// The new one.
    pub to: String,
    /// The cause for which it must be refused.
    #[serde(default)]
    pub refused: Option<String>,
}

/// A change of a reward split. What is absent stays as it is at that moment.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Split")]
pub struct SplitFile {
    /// From when on.
    pub at: DateTime<Utc>,
    /// Whose.
    pub split: String,
    /// The shares of money.
    #[serde(default)]
    pub monetary: Option<SharesFile>,
    /// The shares of career points.
    #[serde(default)]
    pub career_points: Option<SharesFile>,
    /// The cause for which it must be refused.
    #[serde(default)]
    pub refused: Option<String>,
}

/// Who gets which share of a direct reward; together 100.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Shares")]
pub struct SharesFile {
    /// What the member keeps.
    pub to_self: Percentage,
    /// What goes to the seller whom the member sponsors.
    pub to_referral: Percentage,
}

/// A plan version that is applied at this point.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PlanStep")]
pub struct PlanStepFile {
    /// When it is applied. From when on it holds says the plan.
    pub at: DateTime<Utc>,
    /// The plan, or the path of a plan file relative to this one.
    #[schemars(with = "PlanSourceFile")]
    pub plan: Value,
    /// The cause for which it must be refused.
    #[serde(default)]
    pub refused: Option<String>,
}

/// The end of a plan.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Retire")]
pub struct RetireFile {
    /// When it is decided.
    pub at: DateTime<Utc>,
    /// The plan's name.
    pub retire: String,
    /// The first day without it.
    pub from: NaiveDate,
    /// The cause for which it must be refused.
    #[serde(default)]
    pub refused: Option<String>,
}

/// Tells a `null` that is written from a field that is missing.
fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

fn text_or_null(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "null"] })
}
