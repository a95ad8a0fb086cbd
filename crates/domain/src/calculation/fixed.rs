//! `fixed`: the same sum for every sale, to one person.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::one_person::{self, To};
use super::pay::{self, Amounts, NoRate};
use super::{Calculate, Deal, Description};
use crate::amount::Amount;
use crate::decision::{Decision, EntryType, OutOfRange, Reward};
use crate::flaws::Compiler;

/// A fixed bonus in a plan file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Fixed")]
pub struct File {
    /// Who is paid.
    pub to: To,
    /// How much, by currency.
    #[schemars(with = "std::collections::BTreeMap<String, Amount>")]
    pub amount: Amounts,
    /// Career points.
    #[serde(default)]
    pub career_points: Amount,
}

/// A fixed sum, once a sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixed {
    /// The level that is paid; 0 is the seller.
    pub to: u8,
    /// How much, by currency.
    pub amount: Amounts,
    /// Career points.
    pub career_points: Amount,
}

impl Fixed {
    pub(super) fn compile(file: File, compiler: &mut Compiler<'_>) -> Self {
        pay::check_amounts("amount", &file.amount, compiler);
        compiler.require("career_points", file.career_points >= Amount::ZERO, || {
            "must not be negative".to_owned()
        });
        let to = file.to.compile(compiler);
        Self { to, amount: file.amount, career_points: file.career_points }
    }
}

impl Calculate for Fixed {
    fn entry_type(&self) -> EntryType {
        EntryType::Bonus
    }

    fn depth(&self, _max_levels: u8) -> u16 {
        u16::from(self.to)
    }

    fn decide(&self, deal: &Deal<'_>, decisions: &mut Vec<Decision>) -> Result<(), OutOfRange> {
        let money = self.amount.get(&deal.sale.currency).ok_or(NoRate);
        let offer = money.map(|money| Reward { money: *money, points: self.career_points });
        one_person::offer_to(deal, self.to, offer, decisions);
        Ok(())
    }

    fn written_out(&self, deal: &Deal<'_>, decision: &Decision) -> Vec<String> {
        let Reward { money, points } = decision.offered;
        let mut written = Vec::new();
        if !money.is_zero() {
            written.push(format!("a fixed {money} {}", deal.sale.currency));
        }
        if !points.is_zero() {
            written.push(format!("a fixed {points} career points"));
        }
        written
    }

    fn describe(&self, _max_levels: u8) -> Description {
        let mut facts =
            vec![("to", one_person::describe(self.to)), ("fixed", pay::phrase(&self.amount))];
        if !self.career_points.is_zero() {
            facts.push(("points", format!("{} career points", self.career_points)));
        }
        Description { facts, ..Description::default() }
    }
}
