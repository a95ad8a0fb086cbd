//! How figures grow with the network, for people and for programs.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{CellAlignment, LineStyle, Table, presets};
use serde::Serialize;

/// One figure in networks of several sizes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Growth {
    pub(crate) bench: &'static str,
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    /// By the number of members. Sizes at which there is nothing to measure are left out.
    pub(crate) by_members: BTreeMap<u32, f64>,
    /// The largest network's figure divided by the smallest one's.
    #[serde(rename = "growth", skip_serializing_if = "Option::is_none")]
    pub(crate) factor: Option<f64>,
    /// What the design asks for; empty: nothing.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) goal: &'static str,
}

impl Growth {
    /// A figure of the benchmark `bench`, as measured.
    pub(crate) fn new(
        bench: &'static str,
        (what, unit, goal): (&'static str, &'static str, &'static str),
        by_members: BTreeMap<u32, f64>,
    ) -> Self {
        let smallest = by_members.first_key_value();
        let factor = match (smallest, by_members.last_key_value()) {
            (Some((from, small)), Some((to, large))) if from < to => Some(large / small),
            _ => None,
        };
        Self { bench, what, unit, by_members, factor, goal }
    }
}

/// A table with a column for each size, 100 columns wide.
pub(crate) fn table(growths: &[Growth]) -> String {
    let sizes: BTreeSet<u32> =
        growths.iter().flat_map(|growth| growth.by_members.keys().copied()).collect();
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()));
    let mut header = vec!["measured, by members".to_owned()];
    header.extend(sizes.iter().map(|members| grouped(*members)));
    header.extend(["growth".to_owned(), "goal".to_owned()]);
    table.set_header(header);
    for growth in growths {
        let figure = |members| growth.by_members.get(members).map(|value| figure(*value, growth));
        let mut row = vec![growth.what.to_owned()];
        row.extend(sizes.iter().map(|members| figure(members).unwrap_or_default()));
        row.push(growth.factor.map(|factor| format!("{}×", short(factor))).unwrap_or_default());
        row.push(growth.goal.to_owned());
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

fn figure(value: f64, growth: &Growth) -> String {
    format!("{} {}", short(value), growth.unit)
}

/// Three digits, or all of a larger number.
fn short(value: f64) -> String {
    let decimals = match value {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// A number with its thousands set apart.
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let comma = |place: usize| place > 0 && (digits.len() - place).is_multiple_of(3);
    let pieces = digits.chars().enumerate();
    pieces
        .map(|(place, digit)| if comma(place) { format!(",{digit}") } else { digit.to_string() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enrolment(by_members: &[(u32, f64)]) -> Growth {
        let row = ("enrolment of one", "ms", "≤ 3 ms");
        Growth::new("tree", row, by_members.iter().copied().collect())
    }

    #[test]
    fn growth_is_the_largest_networks_figure_by_the_smallest_ones() {
        let growth = enrolment(&[(1_000_000, 3.0), (10_000, 1.5), (100_000, 9.0)]);
        assert_eq!(growth.factor, Some(2.0));
        assert_eq!(enrolment(&[(1_000, 3.0)]).factor, None);
    }

    #[test]
    fn programs_get_one_object_a_figure() {
        let growth = enrolment(&[(10_000, 1.5), (1_000_000, 3.0)]);
        let expected = serde_json::json!({
            "bench": "tree", "what": "enrolment of one", "unit": "ms",
            "by_members": {"10000": 1.5, "1000000": 3.0}, "growth": 2.0, "goal": "≤ 3 ms",
        });
        assert_eq!(serde_json::to_value(growth).unwrap(), expected);
    }

    #[test]
    fn sizes_are_columns_and_a_size_without_a_figure_is_empty() {
        let mut moved = enrolment(&[(1_000_000, 14_321.6)]);
        moved.what = "move of about 50,000";
        moved.goal = "";
        let text = table(&[enrolment(&[(10_000, 1.5), (1_000_000, 33.33)]), moved]);
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1][3..], ["10,000", "1,000,000", "growth", "goal"]);
        assert_eq!(lines[3][3..], ["1.50", "ms", "33.3", "ms", "22.2×", "≤", "3", "ms"]);
        assert_eq!(lines[4][4..], ["14322", "ms"]);
    }
}
