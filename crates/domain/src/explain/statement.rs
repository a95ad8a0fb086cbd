//! A member's statement: every ledger line of a period, explained by computing its sale again.
//!
//! The amounts told are the computed ones where a line can be computed, so that summing them up and
//! comparing with the ledger's sum proves something.

mod text;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use uuid::Uuid;

use super::{People, Person, Teller};
use crate::amount::Amount;
use crate::calendar;
use crate::decision::EntryType;
use crate::ladder::Ladder;
use crate::period::{Period, Programme};
use crate::recompute::{self, StoredOutcome};
use crate::rule_book::RuleBook;
use crate::settle::{Line, Settlement};

/// Whose statement it is, and of which period.
#[derive(Clone, Debug, Serialize)]
pub struct StatementHead {
    /// Whose.
    pub member: Person,
    /// The period that the lines were earned in.
    pub period: String,
    /// Its first day.
    pub first_day: String,
    /// Its last day.
    pub last_day: String,
    /// Where these days begin.
    pub time_zone: String,
    /// The member's own sales of the period that are not settled, by what they wait for.
    pub waiting_sales: BTreeMap<String, i64>,
}

/// A line of the ledger, with what is recorded of its event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerLine {
    /// The event that it was paid for.
    pub event_id: Uuid,
    /// Its number within the event.
    pub line: i16,
    /// Which shop; `None`: the line belongs to no event.
    pub source: Option<String>,
    /// What the shop calls the event.
    pub external_id: Option<String>,
    /// The event's moment, or when the line was posted.
    pub at: DateTime<Utc>,
    /// Who is paid.
    pub member_id: Uuid,
    /// The ledger type.
    pub entry_type: String,
    /// The level that is paid.
    pub level: Option<i16>,
    /// Money.
    pub amount: Amount,
    /// Its currency.
    pub currency: String,
    /// Career points.
    pub career_points: Amount,
}

/// One line of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatementLine {
    /// The event that it was paid for.
    pub event_id: Uuid,
    /// Its number within the event.
    pub line: i16,
    /// Which shop.
    pub source: Option<String>,
    /// What the shop calls the event.
    pub external_id: Option<String>,
    /// The day of the sale in the programme's time zone.
    pub date: String,
    /// The sale's moment.
    pub as_of: String,
    /// Who sold.
    pub seller: Option<Person>,
    /// What the sale was worth.
    pub sale_amount: Option<String>,
    /// The products that the rule pays for; empty: the sale names none.
    pub products: Vec<String>,
    /// The ledger type.
    #[serde(rename = "type")]
    pub entry_type: String,
    /// The level that is paid; 0 is the seller.
    pub level: Option<i16>,
    /// How far above the seller the member stood.
    pub depth: Option<u16>,
    /// The rule's id.
    pub rule: Option<String>,
    /// Its title.
    pub rule_name: Option<String>,
    /// The plan and its version.
    pub plan: Option<String>,
    /// The version's label.
    pub version: Option<String>,
    /// The member's rank then.
    pub rank: Option<String>,
    /// The member's status then.
    pub status: Option<&'static str>,
    /// The multiplications, written out.
    pub calculations: Vec<String>,
    /// What it came to, in a sentence.
    pub verdict: Option<String>,
    /// Money.
    pub amount: Amount,
    /// Its currency.
    pub currency: String,
    /// Career points.
    pub career_points: Amount,
    /// Where the ledger differs from what is computed, or why nothing can be computed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// What lines come to in one currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many lines.
    pub lines: i64,
    /// Money.
    pub amount: Decimal,
    /// Career points.
    pub career_points: Decimal,
}

/// Sums by currency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums(pub BTreeMap<String, Sum>);

/// A sum for programs.
#[derive(Debug, Serialize)]
struct SumOf<'a> {
    currency: &'a str,
    lines: i64,
    amount: String,
    career_points: String,
}

impl Serialize for Sums {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(currency, sum)| SumOf {
            currency,
            lines: sum.lines,
            amount: format!("{:.4}", sum.amount),
            career_points: format!("{:.4}", sum.career_points),
        }))
    }
}

impl Sums {
    /// Takes a line into account.
    pub fn add(&mut self, line: &StatementLine) {
        let sum = self.0.entry(line.currency.clone()).or_default();
        sum.lines += 1;
        sum.amount += line.amount.to_decimal();
        sum.career_points += line.career_points.to_decimal();
    }

    /// Where the statement's sums are not those of the ledger, in sentences.
    #[must_use]
    pub fn differences(&self, ledger: &Self) -> Vec<String> {
        let currencies: std::collections::BTreeSet<&String> =
            self.0.keys().chain(ledger.0.keys()).collect();
        let told = |sums: &Self, currency: &String| {
            let Sum { lines, amount, career_points } =
                sums.0.get(currency).copied().unwrap_or_default();
            format!(
                "{amount:.4} {currency} and {career_points:.4} career points in {lines} line(s)"
            )
        };
        let differs = |currency: &&String| {
            let [own, other] =
                [self, ledger].map(|sums| sums.0.get(*currency).copied().unwrap_or_default());
            own != other
        };
        let differing = currencies.into_iter().filter(differs);
        differing
            .map(|currency| {
                let (own, other) = (told(self, currency), told(ledger, currency));
                format!("this statement sums up to {own}, the ledger to {other}")
            })
            .collect()
    }
}

/// What statements are written from.
#[derive(Clone, Copy, Debug)]
pub struct Clerk<'a> {
    /// Every plan version.
    pub book: &'a RuleBook,
    /// The names of ranks.
    pub ladder: &'a Ladder,
    /// The calendar.
    pub programme: &'a Programme,
    /// The names of members.
    pub people: &'a People,
}

impl Clerk<'_> {
    /// Explains the lines that one event paid a member, in the order given. `outcome`: what is stored
    /// of the event.
    #[must_use]
    pub fn explain(
        &self,
        lines: &[LedgerLine],
        outcome: Option<&StoredOutcome>,
    ) -> Vec<StatementLine> {
        let known = outcome.ok_or_else(|| "no outcome of the event is stored".to_owned());
        let computed = known.and_then(|outcome| {
            let number = outcome.plan_number;
            let version = self.book.version(number).ok_or_else(|| {
                format!("plan version number {number}, which priced the sale, does not exist")
            })?;
            let (inputs, settlement) = recompute::settlement(outcome, version)?;
            let teller = Teller {
                sale: &outcome.sale,
                inputs,
                version,
                ladder: self.ladder,
                people: self.people,
            };
            let problems = recompute::differences(outcome, version, self.programme);
            Ok((teller, settlement, problems))
        });
        let explain = |line: &LedgerLine| match &computed {
            Ok((teller, settlement, problems)) => {
                self.computed(line, teller, settlement, problems.clone())
            }
            Err(reason) => StatementLine { problems: vec![reason.clone()], ..self.as_stored(line) },
        };
        lines.iter().map(explain).collect()
    }

    /// What the ledger alone says.
    fn as_stored(&self, line: &LedgerLine) -> StatementLine {
        StatementLine {
            event_id: line.event_id,
            line: line.line,
            source: line.source.clone(),
            external_id: line.external_id.clone(),
            date: self.programme.day_of(line.at).to_string(),
            as_of: calendar::rfc3339(line.at),
            seller: None,
            sale_amount: None,
            products: Vec::new(),
            entry_type: line.entry_type.clone(),
            level: line.level,
            depth: None,
            rule: None,
            rule_name: None,
            plan: None,
            version: None,
            rank: None,
            status: None,
            calculations: Vec::new(),
            verdict: None,
            amount: line.amount,
            currency: line.currency.clone(),
            career_points: line.career_points,
            problems: Vec::new(),
        }
    }

    fn computed(
        &self,
        posted: &LedgerLine,
        teller: &Teller<'_>,
        settlement: &Settlement,
        mut problems: Vec<String>,
    ) -> StatementLine {
        let stored = self.as_stored(posted);
        let place = usize::try_from(posted.line).ok();
        let own = |line: &&Line| line.member_id == posted.member_id;
        let found = place.and_then(|place| settlement.lines.get(place)).filter(own);
        let told = found.and_then(|line| Some((line, teller.tell_line(settlement, line)?)));
        let Some((line, (rule, story))) = told else {
            problems.push(format!(
                "line {} of the event is not what the rules give this member",
                posted.line
            ));
            return StatementLine { problems, ..stored };
        };
        let visit = teller.inputs.at(usize::from(line.depth));
        let standing = visit.map(|visit| teller.standing(visit));
        let rule_set = &teller.version.rule_set;
        StatementLine {
            seller: Some(self.people.person(teller.inputs.seller.member_id)),
            sale_amount: Some(teller.sale.amount.to_string()),
            products: teller.products(settlement, line),
            level: Some(line.level.cast_signed()),
            depth: Some(line.depth),
            rule: Some(rule.id.clone()),
            rule_name: Some(rule.name.clone()),
            plan: Some(rule_set.plan.clone()),
            version: Some(rule_set.version.clone()),
            rank: standing.as_ref().map(|standing| standing.rank.clone()),
            status: standing.map(|standing| standing.status),
            calculations: story.calculations,
            verdict: Some(match line.entry_type {
                // The story is the sponsor's; what they keep is not this member's business.
                EntryType::ReferralReward => teller.gets(line),
                _ => story.verdict,
            }),
            amount: line.amount,
            career_points: line.career_points,
            problems,
            ..stored
        }
    }
}

impl StatementHead {
    /// The head of a member's statement.
    #[must_use]
    pub fn new(
        member: Person,
        period: Period,
        programme: &Programme,
        waiting_sales: BTreeMap<String, i64>,
    ) -> Self {
        let last = period.next().first_day().pred_opt().unwrap_or(period.first_day());
        Self {
            member,
            period: period.to_string(),
            first_day: period.first_day().to_string(),
            last_day: last.to_string(),
            time_zone: programme.time_zone.name().to_owned(),
            waiting_sales,
        }
    }
}

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
