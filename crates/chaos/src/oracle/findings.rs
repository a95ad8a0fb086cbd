//! What was found: the first of them by name, the rest by number.

use std::collections::BTreeMap;

use crate::evidence::Finding;

/// Findings that are told one by one. More of them say nothing that these do not.
const LISTED_MAX: usize = 50;

#[derive(Default)]
pub(crate) struct Findings {
    listed: Vec<Finding>,
    /// How many more, by promise.
    counted: BTreeMap<&'static str, usize>,
}

impl Findings {
    /// Adds one.
    pub(crate) fn add(&mut self, promise: &'static str, detail: String) {
        if self.listed.len() < LISTED_MAX {
            self.listed.push(Finding { promise, detail });
        } else {
            *self.counted.entry(promise).or_default() += 1;
        }
    }

    /// All of them, with a last one a promise for those that were only counted.
    pub(crate) fn into_list(self) -> Vec<Finding> {
        let more = self.counted.into_iter();
        let more = more.map(|(promise, n)| Finding { promise, detail: format!("and {n} more") });
        self.listed.into_iter().chain(more).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifty_are_listed_and_the_rest_is_counted_by_promise() {
        let mut findings = Findings::default();
        for number in 0..60 {
            findings.add(if number < 55 { "first" } else { "second" }, number.to_string());
        }
        let found = findings.into_list();
        let last: Vec<(&str, &str)> =
            found[49..].iter().map(|finding| (finding.promise, &*finding.detail)).collect();
        assert_eq!(last, [("first", "49"), ("first", "and 5 more"), ("second", "and 5 more")]);
    }
}
