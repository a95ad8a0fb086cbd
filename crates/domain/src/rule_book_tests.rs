use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::ladder::Ladder;
use crate::period::Programme;
use crate::plan::PlanFile;

fn rule_set(plan: &str, source_types: &str, valid_from: &str) -> RuleSet {
    let yaml = format!(
        "plan: {plan}\nversion: v\nvalid_from: {valid_from}\n{source_types}\nrules:\n  - id: r\n    \
         component: c\n    calculation: {{type: unilevel, levels: [{{level: 4, percentage: '1'}}]}}"
    );
    let ladder = Ladder::from_yaml("ranks: [MEMBER]").unwrap();
    let prague = Programme::parse_time_zone("Europe/Prague").unwrap();
    let programme = Programme { time_zone: prague, ..Programme::default() };
    RuleSet::compile(&PlanFile::from_yaml(&yaml).unwrap(), &ladder, &programme).unwrap()
}

fn book(rule_sets: &[RuleSet]) -> RuleBook {
    let number = |(index, rule_set): (usize, &RuleSet)| PlanVersion {
        number: i32::try_from(index).unwrap(),
        rule_numbers: vec![0],
        rule_set: rule_set.clone(),
    };
    RuleBook::new(rule_sets.iter().enumerate().map(number).collect())
}

fn pricing(book: &RuleBook, source_type: SourceType, as_of: &str) -> Option<i32> {
    let mut sale = crate::settle::tests::sale("100");
    (sale.source_type, sale.as_of) = (source_type, as_of.parse().unwrap());
    book.version_for(&sale).ok().map(|version| version.number)
}

#[test]
fn l8_a_version_holds_from_its_first_local_moment_until_its_successors() {
    let all = "";
    let book = book(&[rule_set("a", all, "2023-05-01"), rule_set("a", all, "2023-03-26")]);
    let at = |as_of| pricing(&book, SourceType::Product, as_of);
    assert_eq!(at("2023-03-25T22:59:59.999999Z"), None);
    assert_eq!(at("2023-03-25T23:00:00Z"), Some(1), "winter time until the night after");
    assert_eq!(at("2023-04-30T21:59:59.999999Z"), Some(1));
    assert_eq!(at("2023-04-30T22:00:00Z"), Some(0), "summer time");
    assert_eq!(book.reads().depth, 4);
}

#[test]
fn the_plan_that_names_the_source_type_goes_before_the_plan_for_all() {
    let book = book(&[
        rule_set("general", "", "2023-01-01"),
        rule_set("funds", "source_types: [INVESTMENT]", "2023-02-01"),
        rule_set("funds", "source_types: [PRODUCT]", "2023-06-01"),
    ]);
    let at = |source_type, as_of| pricing(&book, source_type, as_of);
    assert_eq!(at(SourceType::Investment, "2023-01-15T00:00:00Z"), Some(0));
    assert_eq!(at(SourceType::Investment, "2023-03-01T00:00:00Z"), Some(1));
    assert_eq!(at(SourceType::Product, "2023-03-01T00:00:00Z"), Some(0));
    assert_eq!(at(SourceType::Product, "2023-07-01T00:00:00Z"), Some(2));
    let funds_gone = at(SourceType::Investment, "2023-07-01T00:00:00Z");
    assert_eq!(funds_gone, Some(0), "a successor states its plan completely");
}

#[test]
fn a_sale_is_never_priced_by_two_plans() {
    let investment = "source_types: [INVESTMENT]";
    let book = book(&[rule_set("a", investment, "2023-05-01")]);
    let check = |plan, types, from| book.check_addition(&rule_set(plan, types, from));
    assert!(matches!(check("a", investment, "2023-05-01"), Err(Conflict::SameStart { .. })));
    assert!(matches!(check("b", investment, "2024-05-01"), Err(Conflict::SameSales { .. })));
    assert_eq!(check("a", investment, "2023-05-02"), Ok(()));
    assert_eq!(check("b", "source_types: [PRODUCT]", "2023-05-01"), Ok(()));
    assert_eq!(check("b", "", "2023-05-01"), Ok(()), "the plan for all gives way");
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn retired(plan: &str, from: &str) -> Retirement {
    Retirement { plan: plan.to_owned(), from: instant(from) }
}

#[test]
fn a_retired_plan_prices_nothing_until_a_later_version_of_it_begins() {
    let book = book(&[
        rule_set("general", "", "2023-01-01"),
        rule_set("funds", "source_types: [INVESTMENT]", "2023-02-01"),
        rule_set("funds", "source_types: [INVESTMENT]", "2023-11-01"),
    ])
    .with_retirements([retired("funds", "2023-03-25T23:00:00Z")]);
    let at = |as_of| pricing(&book, SourceType::Investment, as_of);
    assert_eq!(at("2023-03-25T22:59:59.999999Z"), Some(1));
    assert_eq!(at("2023-03-25T23:00:00Z"), Some(0), "the plan for all takes over");
    assert_eq!(at("2023-10-31T22:59:59.999999Z"), Some(0));
    assert_eq!(at("2023-10-31T23:00:00Z"), Some(2));
    let [later, first] = [&book.versions()[0], &book.versions()[1]].map(|known| &known.rule_set);
    assert_eq!(book.valid_until(first), Some(instant("2023-03-25T23:00:00Z")));
    assert_eq!(book.valid_until(later), None);
    let all_retired = book.clone().with_retirements([retired("general", "2024-01-01T00:00:00Z")]);
    assert_eq!(pricing(&all_retired, SourceType::Product, "2024-01-01T00:00:00Z"), None);
}

#[test]
fn a_version_that_begins_when_its_plan_was_to_be_retired_begins() {
    let book = book(&[rule_set("a", "", "2023-01-01"), rule_set("a", "", "2023-07-01")])
        .with_retirements([retired("a", "2023-06-30T22:00:00Z")]);
    assert_eq!(pricing(&book, SourceType::Product, "2023-06-30T22:00:00Z"), Some(1));
    assert_eq!(book.valid_until(&book.versions()[0].rule_set), None);
    let at = instant("2023-08-31T22:00:00Z");
    assert_eq!(book.check_retirement("a", at), Ok(()), "it is in force, and can cease later");
    let resumes = |plan, from| book.resumes(&retired(plan, from)).map(|at| at.to_rfc3339());
    let second = Some("2023-06-30T22:00:00+00:00".to_owned());
    assert_eq!(resumes("a", "2023-06-30T22:00:00Z"), second, "at once");
    assert_eq!(resumes("a", "2023-03-01T00:00:00Z"), second);
    assert_eq!(resumes("a", "2023-06-30T22:00:00.000001Z"), None);
    assert_eq!(resumes("b", "2023-03-01T00:00:00Z"), None);
}

/// Half-open: a plan may begin to pay a kind of sale at the moment at which another ceases to.
#[test]
fn plans_may_follow_one_another_without_a_gap() {
    let (funds, goods) = ("source_types: [INVESTMENT]", "source_types: [PRODUCT]");
    let before = book(&[rule_set("a", funds, "2023-01-01"), rule_set("a", goods, "2023-05-01")]);
    assert_eq!(before.check_addition(&rule_set("b", funds, "2023-05-01")), Ok(()));
    let early = before.check_addition(&rule_set("b", funds, "2023-04-30"));
    assert!(matches!(early, Err(Conflict::SameSales { .. })), "{early:?}");
    let after = book(&[rule_set("b", funds, "2023-05-01"), rule_set("a", goods, "2023-05-01")]);
    assert_eq!(after.check_addition(&rule_set("a", funds, "2023-01-01")), Ok(()));
    let late = book(&[rule_set("b", funds, "2023-04-30"), rule_set("a", goods, "2023-05-01")]);
    let late = late.check_addition(&rule_set("a", funds, "2023-01-01"));
    assert!(matches!(late, Err(Conflict::SameSales { .. })), "{late:?}");
}

#[test]
fn a_retirement_makes_room_for_another_plan() {
    let funds = "source_types: [INVESTMENT]";
    let book = book(&[rule_set("a", funds, "2023-01-01")])
        .with_retirements([retired("a", "2023-06-30T22:00:00Z")]);
    let check = |plan, from| book.check_addition(&rule_set(plan, funds, from));
    assert_eq!(check("b", "2023-07-01"), Ok(()));
    assert!(matches!(check("b", "2023-06-30"), Err(Conflict::SameSales { .. })));
    let taken = book.with_draft(&rule_set("b", funds, "2023-07-01"));
    let back = taken.check_addition(&rule_set("a", funds, "2023-09-01"));
    assert!(matches!(back, Err(Conflict::SameSales { .. })), "{back:?}");
}

#[test]
fn a_plan_is_retired_while_it_is_in_force() {
    let book = book(&[rule_set("a", "", "2023-01-01"), rule_set("a", "", "2023-07-01")])
        .with_retirements([retired("a", "2023-03-01T00:00:00Z")]);
    let check = |plan, at| book.check_retirement(plan, instant(at));
    assert_eq!(check("a", "2023-02-01T00:00:00Z"), Ok(()), "earlier than decided before");
    assert_eq!(check("a", "2023-08-01T00:00:00Z"), Ok(()));
    let refusal = |plan, at| check(plan, at).unwrap_err();
    let at = "2023-02-01T00:00:00Z";
    assert!(matches!(refusal("b", at), CannotRetire::UnknownPlan { .. }));
    let at = "2022-12-31T22:59:59Z";
    assert!(matches!(refusal("a", at), CannotRetire::NotBegun { .. }));
    let at = "2023-06-30T22:00:00Z";
    assert!(matches!(refusal("a", at), CannotRetire::BeginsThen { .. }));
    let since = instant("2023-03-01T00:00:00Z");
    for at in ["2023-03-01T00:00:00Z", "2023-06-01T00:00:00Z"] {
        let expected = CannotRetire::RetiredBefore { plan: "a".into(), at: instant(at), since };
        assert_eq!(refusal("a", at), expected);
    }
}

#[test]
fn the_predecessor_is_what_holds_until_a_version_begins() {
    let book = book(&[rule_set("a", "", "2023-01-01"), rule_set("a", "", "2023-07-01")])
        .with_retirements([retired("a", "2023-09-30T22:00:00Z")]);
    let number = |from| {
        let predecessor = book.predecessor(&rule_set("a", "", from));
        predecessor.map(|version| version.number)
    };
    assert_eq!(number("2023-01-01"), None, "not itself");
    assert_eq!(number("2023-03-01"), Some(0));
    assert_eq!(number("2023-07-01"), Some(0));
    assert_eq!(number("2023-10-01"), Some(1), "until the very moment of the retirement");
    assert_eq!(number("2023-10-02"), None, "retired before");
    assert!(book.predecessor(&rule_set("b", "", "2023-10-01")).is_none());
}

/// What a successor drops goes to another plan, or to none.
#[test]
fn l8_dropped_source_types_and_retirements_reprice_sales() {
    let both = "source_types: [PRODUCT, INVESTMENT]";
    let now = book(&[rule_set("a", both, "2023-01-01"), rule_set("a", both, "2023-10-01")]);
    let from = instant("2023-05-31T22:00:00Z");
    let until = Some(instant("2023-09-30T22:00:00Z"));
    let of = |source_type| Repriced { source_type, from, until };

    let drops = now.with_draft(&rule_set("a", "source_types: [PRODUCT]", "2023-06-01"));
    assert_eq!(now.repriced(&drops), [of(SourceType::Product), of(SourceType::Investment)]);
    let retires = now.clone().with_retirements([Retirement { plan: "a".to_owned(), from }]);
    assert_eq!(now.repriced(&retires), [of(SourceType::Product), of(SourceType::Investment)]);
    // The plan for all is in force already, but not for what another plan names.
    let all = now.with_draft(&rule_set("general", "", "2023-06-01"));
    assert_eq!(now.repriced(&all), []);
    let forever = Repriced { until: None, ..of(SourceType::Product) };
    let funds_only = book(&[rule_set("a", "source_types: [INVESTMENT]", "2023-06-01")]);
    let general = funds_only.with_draft(&rule_set("general", "", "2023-06-01"));
    assert_eq!(funds_only.repriced(&general), [forever]);
}

/// What is to be added to a book: a version, or a retirement.
#[derive(Clone, Debug)]
struct Addition {
    plan: u8,
    hour: i64,
    /// Which source types, or a retirement.
    what: u8,
}

const HOURS: i64 = 12;

fn additions(most: usize) -> impl Strategy<Value = Vec<Addition>> {
    let addition = (0..3_u8, 0..HOURS, 0..6_u8);
    let addition = addition.prop_map(|(plan, hour, what)| Addition { plan, hour, what });
    prop::collection::vec(addition, 0..=most)
}

fn hour(hour: i64) -> DateTime<Utc> {
    instant("2023-03-25T20:00:00Z") + TimeDelta::hours(hour)
}

/// Adds what the book admits.
fn add(mut book: RuleBook, additions: &[Addition], template: &RuleSet) -> RuleBook {
    for Addition { plan, hour: begins, what } in additions {
        let (plan, from) = (["a", "b", "c"][usize::from(*plan)].to_owned(), hour(*begins));
        let source_types = match what {
            0 | 1 => vec![],
            2 => vec![SourceType::Product],
            3 => vec![SourceType::Investment],
            4 => SourceType::ALL.to_vec(),
            _ => {
                if book.check_retirement(&plan, from).is_ok() {
                    book = book.with_retirements([Retirement { plan, from }]);
                }
                continue;
            }
        };
        let rule_set = RuleSet { plan, source_types, valid_from: from, ..template.clone() };
        if book.check_addition(&rule_set).is_ok() {
            book = book.with_draft(&rule_set);
        }
    }
    book
}

/// The plain reading of the rule: who prices a sale of this type at this moment?
fn plain(book: &RuleBook, source_type: SourceType, at: DateTime<Utc>) -> Option<&RuleSet> {
    let mut in_force = Vec::new();
    for plan in ["a", "b", "c"] {
        let mut latest: Option<&RuleSet> = None;
        for PlanVersion { rule_set, .. } in book.versions() {
            let is_later = latest.is_none_or(|other| rule_set.valid_from > other.valid_from);
            if rule_set.plan == plan && rule_set.valid_from <= at && is_later {
                latest = Some(rule_set);
            }
        }
        let Some(latest) = latest else { continue };
        let gone = book.retirements().iter().any(|retirement| {
            retirement.plan == plan && retirement.from <= at && retirement.from > latest.valid_from
        });
        if !gone {
            in_force.push(latest);
        }
    }
    let naming: Vec<_> = in_force.iter().filter(|rules| rules.names(source_type)).collect();
    let for_all: Vec<_> = in_force.iter().filter(|rules| rules.source_types.is_empty()).collect();
    assert!(naming.len() <= 1 && for_all.len() <= 1, "two plans price the same sales");
    naming.first().or(for_all.first()).map(|rules| **rules)
}

proptest! {
    /// L8: exactly inside the returned times another version, or none, prices a sale.
    #[test]
    fn l8_sales_are_repriced_exactly_inside_the_times_that_are_named(
        first in additions(8), more in additions(2), other in additions(8), extend in any::<bool>(),
    ) {
        let template = rule_set("a", "", "2023-01-01");
        let now = add(RuleBook::default(), &first, &template);
        let next = if extend {
            add(now.clone(), &more, &template)
        } else {
            add(RuleBook::default(), &other, &template)
        };
        let repriced = now.repriced(&next);
        let micro = TimeDelta::microseconds(1);
        for at in (-1..=HOURS).flat_map(|n| [hour(n) - micro, hour(n), hour(n) + micro]) {
            for source_type in SourceType::ALL.iter().copied() {
                let [before, after] = [&now, &next].map(|book| plain(book, source_type, at));
                for (book, expected) in [(&now, before), (&next, after)] {
                    let version = book.version_at(source_type, at);
                    prop_assert_eq!(version.map(|version| &version.rule_set), expected);
                }
                let inside = repriced.iter().filter(|repriced| {
                    repriced.source_type == source_type
                        && repriced.from <= at
                        && repriced.until.is_none_or(|until| at < until)
                });
                prop_assert_eq!(inside.count(), usize::from(before != after), "{} at {}", source_type, at);
            }
        }
        prop_assert_eq!(now.repriced(&now), []);
    }
}
