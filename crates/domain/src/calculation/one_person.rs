//! What calculations have in common that pay one person once a sale.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::pay::NoRate;
use super::{Deal, LEVELS_MAX};
use crate::decision::{Decision, Reason, Reward, Verdict};
use crate::flaws::Compiler;

/// Who is paid, as it is written: `seller`, `sponsor`, or the number of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct To(pub u8);

impl To {
    /// The member credited with the sale.
    pub(super) const SELLER: Self = Self(0);
    /// Who sponsors the seller.
    pub(super) const SPONSOR: Self = Self(1);

    /// The level, if there is such a one.
    pub(super) fn compile(self, compiler: &mut Compiler<'_>) -> u8 {
        compiler.require("to", self.0 <= LEVELS_MAX, || {
            format!("must be seller, sponsor, or a level from 1 to {LEVELS_MAX}")
        });
        self.0
    }
}

impl<'de> Deserialize<'de> for To {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ToText)
    }
}

struct ToText;

impl de::Visitor<'_> for ToText {
    type Value = To;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("seller, sponsor, or the number of a level")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<To, E> {
        match text {
            "seller" => Ok(To::SELLER),
            "sponsor" => Ok(To::SPONSOR),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<To, E> {
        u8::try_from(number)
            .map(To)
            .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<To, E> {
        Err(E::invalid_value(de::Unexpected::Signed(number), &self))
    }
}

impl JsonSchema for To {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "To".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "Who is paid: seller, sponsor, or the number of a level.",
            "oneOf": [
                {"enum": ["seller", "sponsor"]},
                {"type": "integer", "minimum": 0, "maximum": LEVELS_MAX},
            ],
        })
    }
}

/// Gives one offer to the one person whom a rule names, or to breakage.
pub(super) fn offer_to(
    deal: &Deal<'_>,
    level: u8,
    offer: Result<Reward, NoRate>,
    decisions: &mut Vec<Decision>,
) {
    let level = u16::from(level);
    let who = deal.at(level);
    let offered = offer.unwrap_or_default();
    let can_earn = match &who {
        Some(who) => deal.can_earn(who, level),
        None => Err(Reason::NoUpline),
    };
    let verdict = match (can_earn, offer) {
        (Err(reason), _) => Verdict::NotPaid(reason),
        (Ok(()), Err(NoRate)) => Verdict::NotPaid(Reason::NoRate),
        (Ok(()), Ok(_)) if offered.is_nothing() => Verdict::NotPaid(Reason::Zero),
        (Ok(()), Ok(_)) => Verdict::Paid(offered),
    };
    decisions.push(deal.decision(level, who, offered, verdict));
}

/// Says of the one person that nothing is on offer, and why.
pub(super) fn offer_nothing(
    deal: &Deal<'_>,
    level: u8,
    reason: Reason,
    decisions: &mut Vec<Decision>,
) {
    let level = u16::from(level);
    let nothing = Verdict::NotPaid(reason);
    decisions.push(deal.decision(level, deal.at(level), Reward::default(), nothing));
}

/// Who is paid, for people who read the plan.
pub(super) fn describe(level: u8) -> String {
    match level {
        0 => "the seller".to_owned(),
        1 => "the sponsor".to_owned(),
        level => format!("level {level}"),
    }
}
