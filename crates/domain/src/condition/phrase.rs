//! Conditions in words, and why one does not hold.

use std::fmt::Display;

use super::{Comparison, Condition, Subject, Test, Value};
use crate::ladder::Ladder;

impl Condition {
    /// The condition as a phrase: `sale.currency in CZK, EUR and sale.amount >= 100.0000`.
    #[must_use]
    pub fn phrase(&self) -> String {
        match self {
            Self::All(parts) => group(parts, " and ", "always"),
            Self::Any(parts) => group(parts, " or ", "never"),
            Self::Not(part) => format!("not ({})", part.phrase()),
            Self::Compare(comparison) => comparison.phrase(),
        }
    }

    /// What stands in the way of holding, with the values compared: `sale.currency is USD, not in
    /// CZK, EUR`. Empty when it holds.
    #[must_use]
    pub fn why_not(&self, subject: &impl Subject, ladder: &Ladder) -> String {
        if self.holds(subject) {
            return String::new();
        }
        match self {
            Self::All(parts) => {
                let failing = parts.iter().filter(|part| !part.holds(subject));
                joined(failing.map(|part| part.why_not(subject, ladder)), " and ")
            }
            Self::Any(parts) if parts.is_empty() => "it never holds".to_owned(),
            Self::Any(parts) => {
                joined(parts.iter().map(|part| part.why_not(subject, ladder)), " and ")
            }
            Self::Not(part) => {
                let values = part.comparisons().into_iter();
                let values = values.map(|comparison| comparison.value_phrase(subject, ladder));
                format!("{}, so not ({}) fails", joined(values, ", "), part.phrase())
            }
            Self::Compare(comparison) => {
                let value = comparison.value_phrase(subject, ladder);
                format!("{value}, not {}", comparison.requirement())
            }
        }
    }
}

impl Comparison {
    fn phrase(&self) -> String {
        format!("{} {}", self.field(), self.requirement())
    }

    /// What the field is compared with: `>= 100.0000`.
    fn requirement(&self) -> String {
        match self {
            Self::Number(_, test) => test.phrase(),
            Self::Text(_, test) => test.phrase(),
            Self::Rank(_, test) => test.phrase(),
        }
    }

    /// What the field says: `sale.amount is 80.0000`.
    fn value_phrase(&self, subject: &impl Subject, ladder: &Ladder) -> String {
        let field = self.field();
        match subject.value(field) {
            Some(Value::Number(number)) => format!("{field} is {number}"),
            Some(Value::Text(text)) => format!("{field} is {text}"),
            Some(Value::Rank(rank)) => format!("{field} is {}", ladder.name(rank)),
            None => format!("{field} is not given"),
        }
    }
}

impl<T: Display> Test<T> {
    fn phrase(&self) -> String {
        let list = |values: &[T]| values.iter().map(T::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::Equal(value) => format!("= {value}"),
            Self::NotEqual(value) => format!("!= {value}"),
            Self::Less(value) => format!("< {value}"),
            Self::LessOrEqual(value) => format!("<= {value}"),
            Self::Greater(value) => format!("> {value}"),
            Self::GreaterOrEqual(value) => format!(">= {value}"),
            Self::In(values) => format!("in {}", list(values)),
            Self::NotIn(values) => format!("not in {}", list(values)),
            Self::Between(low, high) => format!("between {low} and {high}"),
        }
    }
}

fn group(parts: &[Condition], joint: &str, empty: &str) -> String {
    if parts.is_empty() {
        return empty.to_owned();
    }
    let phrases = parts.iter().map(|part| match part {
        Condition::All(_) | Condition::Any(_) => format!("({})", part.phrase()),
        Condition::Not(_) | Condition::Compare(_) => part.phrase(),
    });
    joined(phrases, joint)
}

fn joined(phrases: impl Iterator<Item = String>, joint: &str) -> String {
    phrases.collect::<Vec<_>>().join(joint)
}
