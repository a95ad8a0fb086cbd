//! Conditions: when a rule applies to a sale. A closed language of typed comparisons, no code.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

use crate::amount::Amount;
use crate::sale::Sale;

/// How deep conditions may be nested.
pub const DEPTH_MAX: usize = 8;
/// How many comparisons and groups one condition may have.
pub const NODES_MAX: usize = 100;
/// How many values `in` and `not_in` may list.
pub const VALUES_MAX: usize = 1000;

/// When a rule applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Every one holds. An empty list always holds.
    All(Vec<Condition>),
    /// At least one holds. An empty list never holds.
    Any(Vec<Condition>),
    /// The other does not hold.
    Not(Box<Condition>),
    /// An amount of the sale compared with fixed ones.
    Number(NumberField, Test<Amount>),
    /// A text of the sale compared with fixed ones.
    Text(TextField, Test<String>),
}

/// Fields of a sale that are amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberField {
    /// `sale.amount`
    Amount,
    /// `sale.volume`
    Volume,
}

/// Fields of a sale that are texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextField {
    /// `sale.currency`
    Currency,
    /// `sale.source_type`
    SourceType,
    /// `sale.product_id`; may be absent
    ProductId,
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

/// Why a condition cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConditionError {
    /// Nested too deeply.
    #[error("a condition may be nested {DEPTH_MAX} deep")]
    TooDeep,
    /// Too long.
    #[error("a condition may have {NODES_MAX} parts")]
    TooLarge,
    /// None or several of the four forms.
    #[error("a condition is one of: all, any, not, or field with op and value")]
    Form,
    /// No such field.
    #[error(
        "unknown field {0:?}; known are sale.amount, sale.volume, sale.currency, \
         sale.source_type, sale.product_id"
    )]
    Field(String),
    /// No such operator, or not for this field.
    #[error("{field} cannot be compared by {op:?}; use {usable}")]
    Operator {
        /// The field compared.
        field: String,
        /// The operator as written.
        op: String,
        /// Those that fit.
        usable: &'static str,
    },
    /// A value of another kind than the operator needs.
    #[error("{field} {op} needs {needed}")]
    Value {
        /// The field compared.
        field: String,
        /// The operator.
        op: String,
        /// What would fit.
        needed: String,
    },
}

impl Condition {
    /// Whether the sale fulfils the condition.
    #[must_use]
    pub fn holds(&self, sale: &Sale) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(sale)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(sale)),
            Self::Not(part) => !part.holds(sale),
            Self::Number(NumberField::Amount, test) => test.holds(Some(&sale.amount)),
            Self::Number(NumberField::Volume, test) => test.holds(Some(&sale.volume)),
            Self::Text(field, test) => match field {
                TextField::Currency => test.holds(Some(sale.currency.code())),
                TextField::SourceType => test.holds(Some(sale.source_type.name())),
                TextField::ProductId => test.holds(sale.product_id.as_deref()),
            },
        }
    }
}

impl<T> Test<T> {
    /// Compares a value; an absent one equals nothing and is in no list.
    fn holds<V>(&self, value: Option<&V>) -> bool
    where
        V: PartialOrd + ?Sized,
        T: std::borrow::Borrow<V>,
    {
        let Some(value) = value else {
            return matches!(self, Self::NotEqual(_) | Self::NotIn(_));
        };
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

const NUMBER_OPS: &str = "= != < <= > >= in not_in between";
const TEXT_OPS: &str = "= != in not_in";

impl NumberField {
    fn name(self) -> &'static str {
        match self {
            Self::Amount => "sale.amount",
            Self::Volume => "sale.volume",
        }
    }
}

impl TextField {
    fn name(self) -> &'static str {
        match self {
            Self::Currency => "sale.currency",
            Self::SourceType => "sale.source_type",
            Self::ProductId => "sale.product_id",
        }
    }
}

/// A condition as it is written.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    all: Option<Vec<Written>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    any: Option<Vec<Written>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not: Option<Box<Written>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    op: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<WrittenValue>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "a text, or a list of texts (write numbers in quotes)")]
enum WrittenValue {
    One(String),
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let mut nodes_left = NODES_MAX;
        written.check(DEPTH_MAX, &mut nodes_left).map_err(D::Error::custom)
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written::from(self).serialize(serializer)
    }
}

impl Written {
    fn check(self, depth_left: usize, nodes_left: &mut usize) -> Result<Condition, ConditionError> {
        if depth_left == 0 {
            return Err(ConditionError::TooDeep);
        }
        *nodes_left = nodes_left.checked_sub(1).ok_or(ConditionError::TooLarge)?;
        let mut group = |parts: Vec<Self>| -> Result<Vec<Condition>, ConditionError> {
            parts.into_iter().map(|part| part.check(depth_left - 1, nodes_left)).collect()
        };
        match self {
            Self { all: Some(parts), any: None, not: None, field: None, op: None, value: None } => {
                group(parts).map(Condition::All)
            }
            Self { all: None, any: Some(parts), not: None, field: None, op: None, value: None } => {
                group(parts).map(Condition::Any)
            }
            Self { all: None, any: None, not: Some(part), field: None, op: None, value: None } => {
                let part = part.check(depth_left - 1, nodes_left)?;
                Ok(Condition::Not(Box::new(part)))
            }
            Self {
                all: None,
                any: None,
                not: None,
                field: Some(field),
                op: Some(op),
                value: Some(value),
            } => comparison(&field, &op, value),
            _ => Err(ConditionError::Form),
        }
    }
}

fn comparison(field: &str, op: &str, value: WrittenValue) -> Result<Condition, ConditionError> {
    let numbers = [NumberField::Amount, NumberField::Volume];
    let texts = [TextField::Currency, TextField::SourceType, TextField::ProductId];
    if let Some(number) = numbers.into_iter().find(|known| known.name() == field) {
        let read = |text: &str| Amount::parse(text).map_err(|error| error.to_string());
        return test(field, op, NUMBER_OPS, value, read)
            .map(|test| Condition::Number(number, test));
    }
    if let Some(text) = texts.into_iter().find(|known| known.name() == field) {
        let read = |value: &str| read_text(text, value);
        return test(field, op, TEXT_OPS, value, read).map(|test| Condition::Text(text, test));
    }
    Err(ConditionError::Field(field.to_owned()))
}

/// A value that the field can never have is a typing error in the plan, not a condition.
fn read_text(field: TextField, value: &str) -> Result<String, String> {
    match field {
        TextField::Currency => {
            value.parse::<crate::sale::Currency>().map_err(|error| error.to_string())?;
        }
        TextField::SourceType => {
            value.parse::<crate::sale::SourceType>().map_err(|error| error.to_string())?;
        }
        TextField::ProductId => crate::text::check(value).map_err(|error| error.to_string())?,
    }
    Ok(value.to_owned())
}

fn test<T: PartialOrd>(
    field: &str,
    op: &str,
    usable: &'static str,
    value: WrittenValue,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Test<T>, ConditionError> {
    let wrong = |needed: String| ConditionError::Value {
        field: field.to_owned(),
        op: op.to_owned(),
        needed,
    };
    let read = |text: &String| {
        read(text).map_err(|reason| wrong(format!("another value: {text:?} {reason}")))
    };
    if !usable.split(' ').any(|known| known == op) {
        let (field, op) = (field.to_owned(), op.to_owned());
        return Err(ConditionError::Operator { field, op, usable });
    }
    match (op, value) {
        ("in" | "not_in", WrittenValue::Many(values)) => {
            if values.is_empty() || values.len() > VALUES_MAX {
                return Err(wrong(format!("1 to {VALUES_MAX} values")));
            }
            let values = values.iter().map(read).collect::<Result<_, _>>()?;
            Ok(if op == "in" { Test::In(values) } else { Test::NotIn(values) })
        }
        ("in" | "not_in", WrittenValue::One(_)) => Err(wrong("a list of values".to_owned())),
        ("between", WrittenValue::Many(values)) if values.len() == 2 => {
            let (low, high) = (read(&values[0])?, read(&values[1])?);
            if low > high {
                return Err(wrong("the lower value first".to_owned()));
            }
            Ok(Test::Between(low, high))
        }
        ("between", _) => Err(wrong("a list of two values, lowest first".to_owned())),
        (_, WrittenValue::Many(_)) => Err(wrong("one value".to_owned())),
        (_, WrittenValue::One(value)) => {
            let value = read(&value)?;
            Ok(match op {
                "=" => Test::Equal(value),
                "!=" => Test::NotEqual(value),
                "<" => Test::Less(value),
                "<=" => Test::LessOrEqual(value),
                ">" => Test::Greater(value),
                _ => Test::GreaterOrEqual(value),
            })
        }
    }
}

impl From<&Condition> for Written {
    fn from(condition: &Condition) -> Self {
        let group = |parts: &Vec<Condition>| Some(parts.iter().map(Self::from).collect());
        match condition {
            Condition::All(parts) => Self { all: group(parts), ..Self::default() },
            Condition::Any(parts) => Self { any: group(parts), ..Self::default() },
            Condition::Not(part) => {
                Self { not: Some(Box::new(Self::from(&**part))), ..Self::default() }
            }
            Condition::Number(field, test) => Self::comparison(field.name(), test),
            Condition::Text(field, test) => Self::comparison(field.name(), test),
        }
    }
}

impl Written {
    fn comparison<T: ToString>(field: &str, test: &Test<T>) -> Self {
        let value = match test {
            Test::Equal(value)
            | Test::NotEqual(value)
            | Test::Less(value)
            | Test::LessOrEqual(value)
            | Test::Greater(value)
            | Test::GreaterOrEqual(value) => WrittenValue::One(value.to_string()),
            Test::In(values) | Test::NotIn(values) => {
                WrittenValue::Many(values.iter().map(ToString::to_string).collect())
            }
            Test::Between(low, high) => WrittenValue::Many(vec![low.to_string(), high.to_string()]),
        };
        Self {
            field: Some(field.to_owned()),
            op: Some(test.op().to_owned()),
            value: Some(value),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sale() -> Sale {
        let as_of = "2023-05-02T10:00:00Z".parse().unwrap();
        Sale {
            event_id: crate::sale::event_id("shop", "1"),
            amount: Amount::parse("100.00").unwrap(),
            volume: Amount::parse("80").unwrap(),
            currency: "EUR".parse().unwrap(),
            source_type: crate::sale::SourceType::Product,
            product_id: None,
            order_kind: crate::sale::OrderKind::Standard,
            market: None,
            buyer_type: None,
            lines: Vec::new(),
            as_of,
            earned_period: crate::period::Programme::default().period_of(as_of),
        }
    }

    fn holds(json: &str) -> bool {
        let condition: Condition = serde_json::from_str(json).unwrap();
        let written = serde_json::to_string(&condition).unwrap();
        let again: Condition = serde_json::from_str(&written).unwrap();
        assert_eq!(again, condition, "what is written reads the same");
        condition.holds(&sale())
    }

    fn number(op: &str, value: &str) -> bool {
        holds(&format!(r#"{{"field":"sale.amount","op":"{op}","value":{value}}}"#))
    }

    #[test]
    fn every_operator_at_its_boundary() {
        assert!(number("=", "\"100\"") && !number("=", "\"100.0001\""));
        assert!(number("!=", "\"99\"") && !number("!=", "\"100.0000\""));
        assert!(number("<", "\"100.0001\"") && !number("<", "\"100\""));
        assert!(number("<=", "\"100\"") && !number("<=", "\"99.9999\""));
        assert!(number(">", "\"99.9999\"") && !number(">", "\"100\""));
        assert!(number(">=", "\"100\"") && !number(">=", "\"100.0001\""));
        assert!(number("in", r#"["1","100"]"#) && !number("in", r#"["1"]"#));
        assert!(number("not_in", r#"["1"]"#) && !number("not_in", r#"["100"]"#));
        assert!(number("between", r#"["100","200"]"#) && number("between", r#"["1","100"]"#));
        assert!(!number("between", r#"["100.0001","200"]"#));
    }

    #[test]
    fn groups_and_absent_fields() {
        let eur = r#"{"field":"sale.currency","op":"=","value":"EUR"}"#;
        let czk = r#"{"field":"sale.currency","op":"=","value":"CZK"}"#;
        assert!(holds(&format!(r#"{{"any":[{czk},{eur}]}}"#)));
        assert!(!holds(&format!(r#"{{"all":[{czk},{eur}]}}"#)));
        assert!(holds(&format!(r#"{{"not":{czk}}}"#)));
        assert!(holds(r#"{"all":[]}"#) && !holds(r#"{"any":[]}"#));
        assert!(!holds(r#"{"field":"sale.product_id","op":"=","value":"SKU"}"#));
        assert!(!holds(r#"{"field":"sale.product_id","op":"in","value":["SKU"]}"#));
        assert!(holds(r#"{"field":"sale.product_id","op":"!=","value":"SKU"}"#));
        assert!(holds(r#"{"field":"sale.product_id","op":"not_in","value":["SKU"]}"#));
    }

    #[test]
    fn what_is_no_condition_says_why() {
        let refused = |json: &str| serde_json::from_str::<Condition>(json).unwrap_err().to_string();
        assert!(refused(r#"{"field":"sale.colour","op":"=","value":"x"}"#).contains("known are"));
        assert!(refused(r#"{"field":"sale.currency","op":"<","value":"EUR"}"#).contains("not_in"));
        assert!(refused(r#"{"field":"sale.amount","op":"=","value":5}"#).contains("in quotes"));
        assert!(refused(r#"{"field":"sale.amount","op":"in","value":"5"}"#).contains("list"));
        assert!(refused(r#"{"field":"sale.currency","op":"=","value":"euro"}"#).contains("EUR"));
        assert!(refused(r#"{"all":[],"any":[]}"#).contains("one of"));
        assert!(refused(r#"{"every":[]}"#).contains("unknown field"));
        let deep = format!("{}{}{}", r#"{"not":"#.repeat(8), r#"{"all":[]}"#, "}".repeat(8));
        assert!(refused(&deep).contains("deep"));
        let long = format!(r#"{{"all":[{}]}}"#, vec![r#"{"all":[]}"#; 100].join(","));
        assert!(refused(&long).contains("parts"));
    }
}
