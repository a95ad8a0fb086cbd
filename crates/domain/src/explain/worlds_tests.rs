use super::*;
use crate::explain::People;
use crate::inputs::Inputs;
use crate::ladder::Ladder;
use crate::member::MemberStatus::{Active, Inactive};
use crate::period::Programme;
use crate::plan::PlanFile;
use crate::rule_book::PlanVersion;
use crate::settle::settle;
use crate::settle::tests::{inputs, sale};

const PLAN: &str = r#"
plan: p
version: v
valid_from: 2023-05-01
rules:
  - id: base
    component: base
    calculation:
      type: unilevel
      levels: [{level: 1, percentage: "3"}, {level: 2, percentage: "2", min_rank: SILVER}]
"#;

fn version(yaml: &str) -> PlanVersion {
    let file = PlanFile::from_yaml(yaml).unwrap();
    let rule_set = RuleSet::compile(&file, &ladder(), &Programme::default()).unwrap();
    PlanVersion { number: 1, rule_numbers: vec![1], rule_set }
}

fn ladder() -> Ladder {
    Ladder::from_yaml("ranks: [MEMBER, SILVER, GOLD]").unwrap()
}

/// Member, level, rule and amount before and after, and why.
fn differences(
    before: (&PlanVersion, &Inputs),
    after: (&PlanVersion, &Inputs),
) -> Vec<(u128, String)> {
    let (sale, ladder, people) = (sale("100"), ladder(), People::default());
    let world = |(version, inputs): (&PlanVersion, &Inputs)| {
        settle(&sale, inputs, &version.rule_set).unwrap()
    };
    let teller = |(version, inputs)| Teller {
        sale: &sale,
        inputs,
        version,
        ladder: &ladder,
        people: &people,
    };
    let a = World { teller: teller(before), settlement: world(before) };
    let b = World { teller: teller(after), settlement: world(after) };
    let tell = |part: &Part| {
        let level = part.level.map_or("none".to_owned(), |level| level.to_string());
        format!("{level} {} ({})", part.amount, part.why)
    };
    compare(&a, &b, None)
        .iter()
        .map(|change| {
            let (before, after) = (tell(&change.before), tell(&change.after));
            (change.member.id.as_u128(), format!("{before} → {after}"))
        })
        .collect()
}

#[test]
fn another_rank_shows_what_was_missing() {
    let plan = version(PLAN);
    let (was, would_be) =
        (inputs(&[(0, Active), (0, Active)]), inputs(&[(0, Active), (1, Active)]));
    assert_eq!(
        differences((&plan, &was), (&plan, &would_be)),
        [(
            2,
            "2 0.0000 (not paid: rank MEMBER is below SILVER) → 2 2.0000 (2.00 % of 100.0000 CZK = \
             2.0000; paid 2.0000 CZK)"
                .to_owned()
        )]
    );
    assert_eq!(differences((&plan, &was), (&plan, &was)), []);
}

/// Somebody who moves up a level has one line that changes, not one that goes and one that comes.
#[test]
fn a_moved_sponsor_is_one_difference_a_person() {
    let plan = version(PLAN);
    let was = inputs(&[(0, Active), (1, Active)]);
    let mut would_be = was.clone();
    would_be.upline.remove(0);
    assert_eq!(
        differences((&plan, &was), (&plan, &would_be)),
        [
            (
                1,
                "1 3.0000 (3.00 % of 100.0000 CZK = 3.0000; paid 3.0000 CZK) → none 0.0000 (stands \
                 neither in the upline nor is the seller)"
                    .to_owned()
            ),
            (
                2,
                "2 2.0000 (2.00 % of 100.0000 CZK = 2.0000; paid 2.0000 CZK) → 1 3.0000 (3.00 % of \
                 100.0000 CZK = 3.0000; paid 3.0000 CZK)"
                    .to_owned()
            ),
        ]
    );
}

#[test]
fn other_rules_say_why_somebody_is_left_out() {
    let plan = version(PLAN);
    let other = version(&PLAN.replace("component: base", "component: other"));
    let was = inputs(&[(0, Active), (0, Inactive)]);
    let found = differences((&plan, &was), (&other, &was));
    assert_eq!(found.len(), 2, "components are not mixed up: {found:?}");
    assert!(found[0].1.ends_with("none 0.0000 (the plan has no component base)"), "{found:?}");
    let none = version(&PLAN.replace(
        "    calculation:",
        "    condition: {field: sale.currency, op: =, value: EUR}\n    calculation:",
    ));
    let found = differences((&plan, &was), (&none, &was));
    let end = "none 0.0000 (no rule of component base is for such a sale)";
    assert!(found[0].1.ends_with(end), "{found:?}");
}

/// A file that begins later prices the sale all the same; a rule with a first day of its own does
/// not.
#[test]
fn a_file_is_taken_as_if_it_had_been_in_force() {
    let later = PLAN.replace("2023-05-01", "2030-01-01")
        + "  - id: still-later\n    component: more\n    valid_from: 2030-02-01\n    calculation: {type: \
           unilevel, levels: [{level: 1, percentage: '1'}]}\n";
    let version = version(&later);
    let sale = sale("100");
    assert!(settle(&sale, &inputs(&[(0, Active)]), &version.rule_set).is_err(), "not yet");
    let rules = as_if_in_force(&version.rule_set, sale.as_of);
    let settlement = settle(&sale, &inputs(&[(0, Active)]), &rules).unwrap();
    assert_eq!(money_of(&settlement, Uuid::from_u128(1)).to_string(), "3.0000");
    assert_eq!(money_of(&settlement, Uuid::from_u128(2)), Total::ZERO);
    let earlier = as_if_in_force(&version.rule_set, "2031-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(earlier, version.rule_set, "what has begun stays as it is");
}
