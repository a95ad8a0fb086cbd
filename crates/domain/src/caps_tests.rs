use super::*;

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

/// Caps of a sale of 1,000 CZK; what lines of these levels and amounts may pay.
fn granted(caps: &str, rounding: Rounding, claims: &[(u16, &str)]) -> Vec<String> {
    let caps: Caps = yaml_serde::from_str(caps).unwrap();
    let claims: Vec<Claim> =
        claims.iter().map(|(level, money)| Claim { level: *level, money: amount(money) }).collect();
    let sale = crate::settle::tests::sale("1000");
    let granted = caps.apply(&sale, rounding, &claims).unwrap();
    granted.into_iter().map(|money| money.to_string()).collect()
}

fn by_default(caps: &str, claims: &[(u16, &str)]) -> Vec<String> {
    granted(caps, Rounding::default(), claims)
}

const LINES: [(u16, &str); 4] = [(3, "20"), (1, "60"), (2, "30"), (1, "10")];

#[test]
fn what_is_within_its_caps_is_not_touched() {
    let whole = ["20.0000", "60.0000", "30.0000", "10.0000"];
    for mode in ["pro_rata", "lowest_level_first", "hard_stop"] {
        let exactly = format!(
            "{{line: {{amount: {{CZK: '60'}}}}, sale: {{percentage: '12', mode: {mode}}}}}"
        );
        assert_eq!(by_default(&exactly, &LINES), whole, "{mode}");
        let euro = format!(
            "{{line: {{amount: {{EUR: '1'}}}}, sale: {{amount: {{EUR: '1'}}, mode: {mode}}}}}"
        );
        assert_eq!(by_default(&euro, &LINES), whole, "a cap in another currency is none");
    }
    assert_eq!(by_default("{}", &LINES), whole);
}

#[test]
fn the_lower_of_sum_and_share_limits_each_line() {
    let cut = ["20.0000", "25.0000", "25.0000", "10.0000"];
    assert_eq!(by_default("{line: {amount: {CZK: '25'}, percentage: '3'}}", &LINES), cut);
    assert_eq!(by_default("{line: {amount: {CZK: '30'}, percentage: '2.5'}}", &LINES), cut);
    assert_eq!(by_default("{line: {amount: {CZK: '0'}}}", &LINES), ["0.0000"; 4]);
}

#[test]
fn each_mode_lets_others_give_way() {
    let cap = |mode| format!("{{sale: {{amount: {{CZK: '95'}}, mode: {mode}}}}}");
    // 95 of 120: 20 → 15.83333…, 60 → 47.5, 30 → 23.75, 10 → 7.91666…
    let pro_rata = ["15.8333", "47.5000", "23.7500", "7.9166"];
    assert_eq!(by_default(&cap("pro_rata"), &LINES), pro_rata, "rounded down");
    // 60, 10, then 25 of the 30, nothing is left for level 3.
    let lowest = ["0.0000", "60.0000", "25.0000", "10.0000"];
    assert_eq!(by_default(&cap("lowest_level_first"), &LINES), lowest);
    // 60, 10, then the 30 does not fit; neither is the 20 paid, which would.
    let stopped = ["0.0000", "60.0000", "0.0000", "10.0000"];
    assert_eq!(by_default(&cap("hard_stop"), &LINES), stopped);
    let cents = Rounding { scale: 2, ..Rounding::default() };
    let pro_rata = ["15.8300", "47.5000", "23.7500", "7.9100"];
    assert_eq!(granted(&cap("pro_rata"), cents, &LINES), pro_rata, "to the plan's decimals");
}

#[test]
fn line_caps_come_before_the_sales() {
    let both = "{line: {amount: {CZK: '40'}}, sale: {amount: {CZK: '50'}, mode: pro_rata}}";
    // 20 + 40 + 30 + 10 = 100, halved.
    assert_eq!(by_default(both, &LINES), ["10.0000", "20.0000", "15.0000", "5.0000"]);
}

#[test]
fn lines_of_one_level_are_served_in_their_order() {
    let cap = "{sale: {amount: {CZK: '70'}, mode: lowest_level_first}}";
    assert_eq!(by_default(cap, &[(1, "50"), (1, "50")]), ["50.0000", "20.0000"]);
    let stop = "{sale: {amount: {CZK: '50'}, mode: hard_stop}}";
    assert_eq!(by_default(stop, &[(1, "50"), (1, "50")]), ["50.0000", "0.0000"], "fits exactly");
}

#[test]
fn a_share_of_the_sale_is_rounded_down() {
    let cap = "{sale: {percentage: '0.0333', mode: lowest_level_first}}";
    let cents = Rounding { scale: 1, ..Rounding::default() };
    assert_eq!(granted(cap, cents, &[(1, "5")]), ["0.3000"], "0.333 of 1,000");
}

#[test]
fn caps_that_say_nothing_are_none() {
    assert!(Caps::default().is_empty());
    let caps = |text: &str| yaml_serde::from_str::<Caps>(text).unwrap();
    assert!(!caps("{line: {percentage: '1'}}").is_empty());
    assert!(!caps("{sale: {percentage: '1', mode: pro_rata}}").is_empty());
}
