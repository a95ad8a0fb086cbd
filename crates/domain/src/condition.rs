//! Conditions: which sales a rule is for, and who may take what it pays. A closed language of typed
//! comparisons, no code.
//!
//! A *condition* reads fields of the sale and of its seller and selects a rule. An *eligibility*
//! reads fields of the beneficiary and decides about one person. Both are written and evaluated
//! alike; [`Scope`] says which fields there are.

mod field;
mod phrase;
mod subject;
mod written;

use std::borrow::Borrow;

use crate::amount::Amount;
use crate::ladder::{NamedRank, Rank};

pub use self::field::{Field, Kind, Scope};
pub(crate) use self::subject::Candidate;
pub use self::subject::SaleView;
pub use self::written::{ConditionError, Written};

/// How deep conditions may be nested.
pub const DEPTH_MAX: usize = 8;
/// How many comparisons and groups one condition may have.
pub const NODES_MAX: usize = 100;
/// How many values `in` and `not_in` may list.
pub const VALUES_MAX: usize = 1000;

/// Every operator, as it is written.
pub const OPERATORS: [&str; 9] = ["=", "!=", "<", "<=", ">", ">=", "in", "not_in", "between"];

/// What has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Every one holds. An empty list always holds.
    All(Vec<Condition>),
    /// At least one holds. An empty list never holds.
    Any(Vec<Condition>),
    /// The other does not hold.
    Not(Box<Condition>),
    /// A field compared with fixed values.
    Compare(Comparison),
}

/// A field compared with fixed values of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// An amount, a count of days, a level.
    Number(Field, Test<Amount>),
    /// A text.
    Text(Field, Test<String>),
    /// A rank, by its place on the ladder.
    Rank(Field, Test<NamedRank>),
}

/// A comparison with fixed values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test<T> {
    /// `=`
    Equal(T),
    /// `!=`
    NotEqual(T),
    /// `<`
    Less(T),
    /// `<=`
    LessOrEqual(T),
    /// `>`
    Greater(T),
    /// `>=`
    GreaterOrEqual(T),
    /// `in`
    In(Vec<T>),
    /// `not_in`
    NotIn(Vec<T>),
    /// `between`, both ends included
    Between(T, T),
}

/// What a field of a subject says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// An amount, a count of days, a level.
    Number(Amount),
    /// A text.
    Text(&'a str),
    /// A rank.
    Rank(Rank),
}

/// What conditions are asked of: a sale with its seller, or a beneficiary.
pub trait Subject {
    /// What the field says; `None`: nothing, or the subject has no such field.
    fn value(&self, field: Field) -> Option<Value<'_>>;
}

impl Condition {
    /// Whether the subject fulfils the condition.
    #[must_use]
    pub fn holds(&self, subject: &impl Subject) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(subject)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(subject)),
            Self::Not(part) => !part.holds(subject),
            Self::Compare(comparison) => comparison.holds(subject),
        }
    }

    /// Every comparison in it.
    pub fn comparisons(&self) -> Vec<&Comparison> {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().flat_map(Self::comparisons).collect()
            }
            Self::Not(part) => part.comparisons(),
            Self::Compare(comparison) => vec![comparison],
        }
    }

    /// Whether it asks when somebody joined.
    #[must_use]
    pub fn reads_joined_at(&self) -> bool {
        self.comparisons().iter().any(|comparison| comparison.field().is_days_since_joining())
    }
}

impl Comparison {
    /// The field compared.
    #[must_use]
    pub fn field(&self) -> Field {
        match self {
            Self::Number(field, _) | Self::Text(field, _) | Self::Rank(field, _) => *field,
        }
    }

    /// The operator as it is written.
    #[must_use]
    pub fn op(&self) -> &'static str {
        match self {
            Self::Number(_, test) => test.op(),
            Self::Text(_, test) => test.op(),
            Self::Rank(_, test) => test.op(),
        }
    }

    fn holds(&self, subject: &impl Subject) -> bool {
        // A value of another kind cannot be: fields have one kind, which reading has checked.
        match (self, subject.value(self.field())) {
            (Self::Number(_, test), Some(Value::Number(value))) => test.holds(&value),
            (Self::Text(_, test), Some(Value::Text(value))) => test.holds(value),
            (Self::Rank(_, test), Some(Value::Rank(value))) => test.holds(&value),
            (Self::Number(_, test), _) => test.holds_for_nothing(),
            (Self::Text(_, test), _) => test.holds_for_nothing(),
            (Self::Rank(_, test), _) => test.holds_for_nothing(),
        }
    }
}

impl<T> Test<T> {
    /// Compares a value.
    fn holds<V>(&self, value: &V) -> bool
    where
        V: PartialOrd + ?Sized,
        T: Borrow<V>,
    {
        match self {
            Self::Equal(other) => value == other.borrow(),
            Self::NotEqual(other) => value != other.borrow(),
            Self::Less(other) => value < other.borrow(),
            Self::LessOrEqual(other) => value <= other.borrow(),
            Self::Greater(other) => value > other.borrow(),
            Self::GreaterOrEqual(other) => value >= other.borrow(),
            Self::In(others) => others.iter().any(|other| value == other.borrow()),
            Self::NotIn(others) => others.iter().all(|other| value != other.borrow()),
            Self::Between(low, high) => low.borrow() <= value && value <= high.borrow(),
        }
    }

    /// An absent value equals nothing and is in no list.
    fn holds_for_nothing(&self) -> bool {
        matches!(self, Self::NotEqual(_) | Self::NotIn(_))
    }

    fn op(&self) -> &'static str {
        match self {
            Self::Equal(_) => "=",
            Self::NotEqual(_) => "!=",
            Self::Less(_) => "<",
            Self::LessOrEqual(_) => "<=",
            Self::Greater(_) => ">",
            Self::GreaterOrEqual(_) => ">=",
            Self::In(_) => "in",
            Self::NotIn(_) => "not_in",
            Self::Between(..) => "between",
        }
    }
}

impl Borrow<Rank> for NamedRank {
    fn borrow(&self) -> &Rank {
        &self.place
    }
}

#[cfg(test)]
#[path = "condition_tests.rs"]
mod tests;
