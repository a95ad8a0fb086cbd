//! Conditions as they are written, in plan files and in stored rule sets.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

use super::{
    Comparison, Condition, DEPTH_MAX, Field, Kind, NODES_MAX, OPERATORS, Scope, Test, VALUES_MAX,
};
use crate::amount::Amount;
use crate::ladder::{Ladder, NamedRank};
use crate::sale::{BuyerType, Currency, OrderKind, SourceType};
use crate::{member::MemberStatus, text};

/// A condition as it is written: a group (`all`, `any` or `not`), or a comparison (`field`, `op` and
/// `value`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Condition", transform = one_form)]
pub struct Written {
    /// Every one holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<Written>>,
    /// At least one holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any: Option<Vec<Written>>,
    /// The other does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Box<Written>>,
    /// What is compared, such as `sale.amount`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "field_names")]
    pub field: Option<String>,
    /// `= != < <= > >= in not_in between`; texts know `= != in not_in` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "operators")]
    pub op: Option<String>,
    /// What it is compared with: one text, or a list for `in`, `not_in` and `between`. Numbers in
    /// quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Operand>,
}

/// Editors complete the fields' names.
fn field_names(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = Field::ALL.iter().map(|field| field.name()).collect();
    json_schema!({ "type": "string", "enum": names })
}

fn operators(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": OPERATORS })
}

/// A condition has one of four forms.
fn one_form(schema: &mut Schema) {
    let forms = [vec!["all"], vec!["any"], vec!["not"], vec!["field", "op", "value"]];
    let forms = forms.map(|required| serde_json::json!({ "required": required }));
    schema.insert("oneOf".to_owned(), forms.to_vec().into());
}

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a text, or a list of texts (write numbers in quotes)")]
pub enum Operand {
    /// A single value.
    One(Scalar),
    /// For `in`, `not_in` and `between`.
    Many(Vec<Scalar>),
}

/// A single value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a text (write numbers in quotes)")]
pub enum Scalar {
    /// As it is written in plan files.
    Text(String),
    /// A rank of a stored rule set, with its place.
    #[schemars(skip)]
    Rank(NamedRank),
}

/// Why a condition cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConditionError {
    /// Not one of the forms.
    #[error("must be one of all, any, not, or field with op and value")]
    Form,
    /// Nested too deeply.
    #[error("is nested more than {DEPTH_MAX} deep")]
    TooDeep,
    /// Too many parts.
    #[error("has more than {NODES_MAX} parts")]
    TooLarge,
    /// No such field here.
    #[error("unknown field {field:?}; known are {known}")]
    Field {
        /// The field as written.
        field: String,
        /// Those that there are.
        known: String,
    },
    /// No such operator, or not for this field.
    #[error("{field} cannot be compared by {op:?}; use {usable}")]
    Operator {
        /// The field compared.
        field: Field,
        /// The operator as written.
        op: String,
        /// Those that fit.
        usable: &'static str,
    },
    /// A value of another kind than the operator needs.
    #[error("{field} {op} needs {needed}")]
    Value {
        /// The field compared.
        field: Field,
        /// The operator.
        op: String,
        /// What would fit.
        needed: String,
    },
}

impl Written {
    /// The condition that is meant, about such a subject, with ranks of this ladder.
    pub fn resolve(&self, scope: Scope, ladder: &Ladder) -> Result<Condition, ConditionError> {
        Reader { scope: Some(scope), ladder: Some(ladder), nodes_left: NODES_MAX }
            .read(self, DEPTH_MAX)
    }
}

impl<'de> Deserialize<'de> for Condition {
    /// Reads what a rule set stores: ranks have their places.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        Reader { scope: None, ladder: None, nodes_left: NODES_MAX }
            .read(&written, DEPTH_MAX)
            .map_err(D::Error::custom)
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written::from(self).serialize(serializer)
    }
}

/// Reads one condition. Without a ladder, ranks must have their places.
struct Reader<'a> {
    scope: Option<Scope>,
    ladder: Option<&'a Ladder>,
    nodes_left: usize,
}

impl Reader<'_> {
    fn read(&mut self, written: &Written, depth_left: usize) -> Result<Condition, ConditionError> {
        if depth_left == 0 {
            return Err(ConditionError::TooDeep);
        }
        self.nodes_left = self.nodes_left.checked_sub(1).ok_or(ConditionError::TooLarge)?;
        let Written { all, any, not, field, op, value } = written;
        match (all, any, not, field, op, value) {
            (Some(parts), None, None, None, None, None) => {
                self.group(parts, depth_left).map(Condition::All)
            }
            (None, Some(parts), None, None, None, None) => {
                self.group(parts, depth_left).map(Condition::Any)
            }
            (None, None, Some(part), None, None, None) => {
                Ok(Condition::Not(Box::new(self.read(part, depth_left - 1)?)))
            }
            (None, None, None, Some(field), Some(op), Some(value)) => {
                self.comparison(field, op, value).map(Condition::Compare)
            }
            _ => Err(ConditionError::Form),
        }
    }

    fn group(
        &mut self,
        parts: &[Written],
        depth_left: usize,
    ) -> Result<Vec<Condition>, ConditionError> {
        parts.iter().map(|part| self.read(part, depth_left - 1)).collect()
    }

    fn comparison(
        &self,
        name: &str,
        op: &str,
        value: &Operand,
    ) -> Result<Comparison, ConditionError> {
        let usable = |field: &Field| self.scope.is_none_or(|scope| field.scope() == scope);
        let mut known = Field::ALL.iter().copied().filter(usable);
        let Some(field) = known.clone().find(|field| field.name() == name) else {
            let known: Vec<&str> = known.by_ref().map(Field::name).collect();
            return Err(ConditionError::Field { field: name.to_owned(), known: known.join(", ") });
        };
        match field.kind() {
            Kind::Number => test(field, op, value, |scalar| {
                Amount::parse(text_of(scalar)?).map_err(|error| error.to_string())
            })
            .map(|test| Comparison::Number(field, test)),
            Kind::Text => test(field, op, value, |scalar| {
                let value = text_of(scalar)?;
                check_text(field, value)?;
                Ok(value.to_owned())
            })
            .map(|test| Comparison::Text(field, test)),
            Kind::Rank => test(field, op, value, |scalar| match (scalar, self.ladder) {
                (Scalar::Text(name), Some(ladder)) => {
                    ladder.named(name).map_err(|error| error.to_string())
                }
                (Scalar::Rank(rank), None) => Ok(rank.clone()),
                _ => Err("must be the name of a rank".to_owned()),
            })
            .map(|test| Comparison::Rank(field, test)),
        }
    }
}

fn text_of(scalar: &Scalar) -> Result<&str, String> {
    match scalar {
        Scalar::Text(text) => Ok(text),
        Scalar::Rank(_) => Err("must be a text".to_owned()),
    }
}

/// A value that the field can never have is a typing error in the plan, not a condition.
fn check_text(field: Field, value: &str) -> Result<(), String> {
    match field {
        Field::SaleCurrency => parses::<Currency>(value),
        Field::SaleSourceType => parses::<SourceType>(value),
        Field::SaleOrderKind => parses::<OrderKind>(value),
        Field::SaleBuyerType => parses::<BuyerType>(value),
        Field::SellerStatus => parses::<MemberStatus>(value),
        _ => text::check(value).map_err(|error| error.to_string()),
    }
}

fn parses<T: std::str::FromStr>(value: &str) -> Result<(), String>
where
    T::Err: ToString,
{
    value.parse::<T>().map(drop).map_err(|error| error.to_string())
}

fn test<T: Ordered>(
    field: Field,
    op: &str,
    value: &Operand,
    read: impl Fn(&Scalar) -> Result<T, String>,
) -> Result<Test<T>, ConditionError> {
    let wrong = |needed: String| ConditionError::Value { field, op: op.to_owned(), needed };
    let read = |scalar: &Scalar| {
        read(scalar).map_err(|reason| wrong(format!("another value: {scalar} {reason}")))
    };
    let usable = field.kind().operators();
    if !usable.split(' ').any(|known| known == op) {
        return Err(ConditionError::Operator { field, op: op.to_owned(), usable });
    }
    match (op, value) {
        ("in" | "not_in", Operand::Many(values)) => {
            if values.is_empty() || values.len() > VALUES_MAX {
                return Err(wrong(format!("1 to {VALUES_MAX} values")));
            }
            let values = values.iter().map(read).collect::<Result<_, _>>()?;
            Ok(if op == "in" { Test::In(values) } else { Test::NotIn(values) })
        }
        ("in" | "not_in", Operand::One(_)) => Err(wrong("a list of values".to_owned())),
        ("between", Operand::Many(values)) if values.len() == 2 => {
            let (low, high) = (read(&values[0])?, read(&values[1])?);
            if high.is_below(&low) {
                return Err(wrong("the lower value first".to_owned()));
            }
            Ok(Test::Between(low, high))
        }
        ("between", _) => Err(wrong("a list of two values, lowest first".to_owned())),
        (_, Operand::Many(_)) => Err(wrong("one value".to_owned())),
        (_, Operand::One(value)) => {
            let value = read(value)?;
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

/// What `between` can be written with.
trait Ordered {
    fn is_below(&self, other: &Self) -> bool;
}

impl Ordered for Amount {
    fn is_below(&self, other: &Self) -> bool {
        self < other
    }
}

impl Ordered for String {
    fn is_below(&self, other: &Self) -> bool {
        self < other
    }
}

impl Ordered for NamedRank {
    fn is_below(&self, other: &Self) -> bool {
        self.place < other.place
    }
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Rank(rank) => write!(f, "{:?}", rank.name),
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
            Condition::Compare(comparison) => {
                let written = |value: &dyn ToString| Scalar::Text(value.to_string());
                let value = match comparison {
                    Comparison::Number(_, test) => operand(test, |amount| written(amount)),
                    Comparison::Text(_, test) => operand(test, |value| written(value)),
                    Comparison::Rank(_, test) => operand(test, |rank| Scalar::Rank(rank.clone())),
                };
                Self {
                    field: Some(comparison.field().name().to_owned()),
                    op: Some(comparison.op().to_owned()),
                    value: Some(value),
                    ..Self::default()
                }
            }
        }
    }
}

fn operand<T>(test: &Test<T>, scalar: impl Fn(&T) -> Scalar) -> Operand {
    match test {
        Test::Equal(value)
        | Test::NotEqual(value)
        | Test::Less(value)
        | Test::LessOrEqual(value)
        | Test::Greater(value)
        | Test::GreaterOrEqual(value) => Operand::One(scalar(value)),
        Test::In(values) | Test::NotIn(values) => {
            Operand::Many(values.iter().map(scalar).collect())
        }
        Test::Between(low, high) => Operand::Many(vec![scalar(low), scalar(high)]),
    }
}
