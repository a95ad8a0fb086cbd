//! What explanations, statements and other worlds say of random sales is what they were settled to.

use proptest::prelude::*;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::*;
use crate::amount::Amount;
use crate::ladder::Ladder;
use crate::period::Programme;
use crate::recompute::{StoredLine, StoredOutcome};
use crate::rule_book::{PlanVersion, RuleBook};
use crate::rule_set::RuleSet;
use crate::settle::tests::random::random_case;
use crate::settle::{self, SEMANTICS_VERSION, Settlement};

fn ladder() -> Ladder {
    Ladder::from_yaml("ranks: [MEMBER, SILVER, GOLD]").unwrap()
}

fn version(rule_set: &RuleSet) -> PlanVersion {
    let rule_numbers = (1..).take(rule_set.rules.len()).collect();
    PlanVersion { number: 1, rule_numbers, rule_set: rule_set.clone() }
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn money<'a>(amounts: impl Iterator<Item = &'a str>) -> Decimal {
    amounts.map(decimal).sum()
}

/// The outcome as it would be stored.
fn stored(
    sale: &crate::sale::Sale,
    inputs: &crate::inputs::Inputs,
    version: &PlanVersion,
    settlement: &Settlement,
) -> StoredOutcome {
    let line = |(place, line): (usize, &settle::Line)| StoredLine {
        line: i16::try_from(place).unwrap(),
        member_id: line.member_id,
        entry_type: line.entry_type.name().to_owned(),
        level: Some(line.level.cast_signed()),
        depth: Some(line.depth.cast_signed()),
        rule_number: Some(version.rule_numbers[line.rule]),
        amount: line.amount.to_decimal(),
        career_points: line.career_points.to_decimal(),
        currency: sale.currency.to_string(),
        earned_period: sale.earned_period,
        posted_period: sale.earned_period,
    };
    StoredOutcome {
        sale: sale.clone(),
        settled_at: sale.as_of,
        inputs: Ok(inputs.clone()),
        plan_number: version.number,
        semantics: SEMANTICS_VERSION,
        line_count: i16::try_from(settlement.lines.len()).unwrap(),
        breakage: settlement.breakage.to_decimal(),
        lines: settlement.lines.iter().enumerate().map(line).collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 384, ..ProptestConfig::default() })]

    /// L9: what is told sums up to what was settled, rule by rule and in all, and every ledger line
    /// stands beside exactly one decision.
    #[test]
    fn l9_explanations_sum_up_to_the_settlement((rules, inputs, sale) in random_case()) {
        let settlement = settle::settle(&sale, &inputs, &rules).unwrap();
        let (version, ladder, people) = (version(&rules), ladder(), People::default());
        let teller =
            Teller { sale: &sale, inputs: &inputs, version: &version, ladder: &ladder, people: &people };
        let told = teller.tell(&settlement, &Programme::default());

        let lines = |of: &Settlement, rule: Option<usize>| -> Decimal {
            let own = of.lines.iter().filter(|line| rule.is_none_or(|rule| line.rule == rule));
            own.map(|line| line.amount.to_decimal()).sum()
        };
        prop_assert_eq!(decimal(&told.paid), lines(&settlement, None));
        prop_assert_eq!(decimal(&told.breakage), settlement.breakage.to_decimal());
        prop_assert_eq!(decimal(&told.offered), decimal(&told.paid) + decimal(&told.breakage));
        let by_reason = told.breakage_by_reason.iter().map(|(_, money)| money.as_str());
        prop_assert_eq!(money(by_reason), decimal(&told.breakage));
        let points = settlement.lines.iter().map(|line| line.career_points.to_decimal());
        prop_assert_eq!(decimal(&told.career_points), points.sum::<Decimal>());

        prop_assert_eq!(told.rules.len(), settlement.chosen.len());
        for (rule, chosen) in told.rules.iter().zip(&settlement.chosen) {
            prop_assert_eq!(decimal(&rule.paid), lines(&settlement, Some(chosen.rule)));
            prop_assert_eq!(decimal(&rule.offered), decimal(&rule.paid) + decimal(&rule.breakage));
            let offered = rule.levels.iter().map(|level| level.offered.as_str());
            prop_assert_eq!(money(offered), decimal(&rule.offered));
            let posted = rule.levels.iter().flat_map(|level| &level.lines);
            let posted: Vec<_> = posted.map(|line| (line.member.id, line.amount.clone())).collect();
            let settled = settlement.lines.iter().filter(|line| line.rule == chosen.rule);
            let settled: Vec<_> =
                settled.map(|line| (line.member_id, line.amount.to_string())).collect();
            prop_assert_eq!(posted, settled);
            // Whoever is paid nothing is told why.
            let silent = rule.levels.iter().find(|level| level.verdict.is_empty());
            prop_assert!(silent.is_none(), "{:?}", silent);
        }
        prop_assert_eq!(told.rules.len() + told.other_rules.len(), rules.rules.len());
    }

    /// L9: a statement's lines are those of the ledger, and they sum up to it.
    #[test]
    fn l9_statements_sum_up_to_the_ledger((rules, inputs, sale) in random_case()) {
        let settlement = settle::settle(&sale, &inputs, &rules).unwrap();
        let version = version(&rules);
        let outcome = stored(&sale, &inputs, &version, &settlement);
        let (book, ladder) = (RuleBook::new(vec![version]), ladder());
        let (programme, people) = (Programme::default(), People::default());
        let clerk =
            Clerk { book: &book, ladder: &ladder, programme: &programme, people: &people };
        let ledger: Vec<LedgerLine> = outcome.lines.iter().map(|line| LedgerLine {
            event_id: sale.event_id,
            line: line.line,
            source: Some("shop".to_owned()),
            external_id: Some("1".to_owned()),
            at: sale.as_of,
            member_id: line.member_id,
            entry_type: line.entry_type.clone(),
            level: line.level,
            amount: Amount::from_decimal(line.amount).unwrap(),
            currency: line.currency.clone(),
            career_points: Amount::from_decimal(line.career_points).unwrap(),
        }).collect();
        let told = clerk.explain(&ledger, Some(&outcome));
        let mut sums = Sums::default();
        for (line, posted) in told.iter().zip(&ledger) {
            prop_assert_eq!(&line.problems, &Vec::<String>::new());
            prop_assert_eq!((line.amount, line.career_points), (posted.amount, posted.career_points));
            prop_assert!(line.verdict.is_some() && line.rank.is_some() && line.rule.is_some());
            sums.add(line);
        }
        prop_assert_eq!(told.len(), ledger.len());
        let total = sums.0.get(sale.currency.code()).copied().unwrap_or_default();
        prop_assert_eq!(total.amount, outcome.lines.iter().map(|line| line.amount).sum::<Decimal>());
    }

    /// The differences of two worlds are all there is between them.
    #[test]
    fn l9_differences_add_up_from_one_world_to_the_other(
        (rules, inputs, sale) in random_case(),
        (others, other_inputs, _) in random_case(),
        only_rules in any::<bool>(),
    ) {
        let other_inputs = if only_rules { inputs.clone() } else { other_inputs };
        let was = settle::settle(&sale, &inputs, &rules).unwrap();
        let would_be = settle::settle(&sale, &other_inputs, &others).unwrap();
        let (own, other) = (version(&rules), version(&others));
        let (ladder, people) = (ladder(), People::default());
        let (ladder, people) = (&ladder, &people);
        let before = World {
            teller: Teller { sale: &sale, inputs: &inputs, version: &own, ladder, people },
            settlement: was.clone(),
        };
        let after = World {
            teller: Teller { sale: &sale, inputs: &other_inputs, version: &other, ladder, people },
            settlement: would_be.clone(),
        };
        let changes = compare(&before, &after, None);
        let mut difference = Decimal::ZERO;
        for change in &changes {
            difference += decimal(&change.after.amount) - decimal(&change.before.amount);
            prop_assert!(!change.before.why.is_empty() && !change.after.why.is_empty(), "{:?}", change);
        }
        let paid = |of: &Settlement| -> Decimal {
            of.lines.iter().map(|line| line.amount.to_decimal()).sum()
        };
        prop_assert_eq!(difference, paid(&would_be) - paid(&was));
        prop_assert_eq!(compare(&before, &before, None), vec![]);

        let everybody: std::collections::BTreeSet<Uuid> =
            changes.iter().map(|change| change.member.id).collect();
        let alone: usize =
            everybody.iter().map(|id| compare(&before, &after, Some(*id)).len()).sum();
        prop_assert_eq!(alone, changes.len());
    }
}
