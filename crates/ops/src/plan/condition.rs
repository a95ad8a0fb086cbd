//! Conditions in words.

use std::fmt::Display;

use domain::condition::{Condition, NumberField, Test, TextField};

/// The condition as a phrase: `sale.currency in CZK, EUR and sale.amount >= 100.0000`.
pub(crate) fn phrase(condition: &Condition) -> String {
    match condition {
        Condition::All(parts) => group(parts, " and ", "always"),
        Condition::Any(parts) => group(parts, " or ", "never"),
        Condition::Not(part) => format!("not ({})", phrase(part)),
        Condition::Number(NumberField::Amount, test) => comparison("sale.amount", test),
        Condition::Number(NumberField::Volume, test) => comparison("sale.volume", test),
        Condition::Text(field, test) => {
            let name = match field {
                TextField::Currency => "sale.currency",
                TextField::SourceType => "sale.source_type",
                TextField::ProductId => "sale.product_id",
            };
            comparison(name, test)
        }
    }
}

fn group(parts: &[Condition], joint: &str, empty: &str) -> String {
    let phrases: Vec<String> = parts
        .iter()
        .map(|part| match part {
            Condition::All(_) | Condition::Any(_) => format!("({})", phrase(part)),
            _ => phrase(part),
        })
        .collect();
    if phrases.is_empty() { empty.to_owned() } else { phrases.join(joint) }
}

fn comparison<T: Display>(field: &str, test: &Test<T>) -> String {
    let list = |values: &[T]| values.iter().map(T::to_string).collect::<Vec<_>>().join(", ");
    match test {
        Test::Equal(value) => format!("{field} = {value}"),
        Test::NotEqual(value) => format!("{field} != {value}"),
        Test::Less(value) => format!("{field} < {value}"),
        Test::LessOrEqual(value) => format!("{field} <= {value}"),
        Test::Greater(value) => format!("{field} > {value}"),
        Test::GreaterOrEqual(value) => format!("{field} >= {value}"),
        Test::In(values) => format!("{field} in {}", list(values)),
        Test::NotIn(values) => format!("{field} not in {}", list(values)),
        Test::Between(low, high) => format!("{field} between {low} and {high}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_read_as_phrases() {
        let cases = [
            (
                r#"{"all": [{"field": "sale.currency", "op": "in", "value": ["CZK", "EUR"]},
                            {"any": [{"field": "sale.amount", "op": ">=", "value": "100"},
                                     {"field": "sale.volume", "op": "between", "value": ["1", "2"]}]}]}"#,
                "sale.currency in CZK, EUR and (sale.amount >= 100.0000 or sale.volume between \
                 1.0000 and 2.0000)",
            ),
            (
                r#"{"not": {"field": "sale.product_id", "op": "=", "value": "A"}}"#,
                "not (sale.product_id = A)",
            ),
            (r#"{"all": []}"#, "always"),
            (r#"{"any": []}"#, "never"),
        ];
        for (json, expected) in cases {
            let condition: Condition = serde_json::from_str(json).unwrap();
            assert_eq!(phrase(&condition), expected);
        }
    }
}
