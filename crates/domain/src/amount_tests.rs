use super::*;

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

#[test]
fn amounts_of_one_value_are_one_amount() {
    assert_eq!(amount("150"), amount("150.00"));
    assert_eq!(amount("150").to_string(), "150.0000");
    assert_eq!(amount("0150.00000"), amount("150"), "zeros beyond the scale change nothing");
    assert_eq!(amount("-0"), Amount::ZERO);
    assert_eq!(amount("12.5").units(), 125_000);
}

#[test]
fn what_cannot_be_stored_exactly_is_refused() {
    let refused = |text| Amount::parse(text).unwrap_err();
    assert_eq!(refused("1.00001"), DecimalError::TooPrecise(4));
    assert_eq!(refused("12345678901234567"), DecimalError::TooLarge(16));
    assert_eq!(refused("123456789012345678901234567890"), DecimalError::TooLarge(16));
    for text in ["", "-", ".5", "5.", "1e3", "+1", "1_000", "1,5", " 1", "NaN", "٣", "--1"] {
        assert_eq!(refused(text), DecimalError::Malformed, "{text:?}");
    }
    assert_eq!(Amount::parse_non_negative("-0.01"), Err(DecimalError::Negative));
    assert_eq!(Amount::parse_non_negative("0.01"), Ok(amount("0.01")));
    assert_eq!(Amount::parse_non_negative("-0"), Ok(Amount::ZERO));
    assert_eq!(amount("9999999999999999.9999").units(), 10_i128.pow(20) - 1);
}

#[test]
fn json_numbers_are_refused_because_they_have_lost_digits() {
    let error = serde_json::from_str::<Amount>("12345678901234567.89").unwrap_err();
    assert!(error.to_string().contains("in quotes"), "{error}");
    assert_eq!(serde_json::from_str::<Amount>("\"12.50\"").unwrap(), amount("12.5"));
}

#[test]
fn a_share_is_rounded_once_half_away_from_zero() {
    let share = |rounding: Rounding, basis, percentage| {
        rounding.share(amount(basis), Percentage::parse(percentage).unwrap()).to_string()
    };
    let standard = Rounding::default();
    assert_eq!(share(standard, "60000", "3.00"), "1800.0000");
    assert_eq!(share(standard, "0.0050", "1"), "0.0001", "half goes away from zero");
    assert_eq!(share(standard, "0.0049", "1"), "0.0000");
    assert_eq!(share(standard, "9999999999999999.9999", "99.9999"), "9999989999999999.9999");
    let cents = |mode| Rounding { scale: 2, mode };
    assert_eq!(share(cents(RoundingMode::HalfEven), "0.50", "5"), "0.0200");
    assert_eq!(share(cents(RoundingMode::HalfAwayFromZero), "0.50", "5"), "0.0300");
    assert_eq!(share(cents(RoundingMode::Down), "0.99", "99"), "0.9800");
    assert_eq!(share(cents(RoundingMode::Up), "0.01", "1"), "0.0100");
}

#[test]
fn products_are_exact_to_the_last_digit_before_they_are_rounded() {
    let largest = amount("9999999999999999.9999");
    let value = PointValue::parse("99999999.9999").unwrap();
    let product = Exact::from(largest).at(value).unwrap();
    let all = product.percent(Percentage::HUNDRED).unwrap();
    assert_eq!(all.to_string(), "999999999998999999990000.00000001");
    assert_eq!(Rounding::default().round(all), None, "more digits than an amount can hold");
    let tenth = PointValue::parse("0.1").unwrap();
    let exact = Exact::from(amount("0.0005")).at(tenth).unwrap();
    let rounded = |exact| Rounding::default().round(exact).unwrap().to_string();
    assert_eq!(rounded(exact), "0.0001", "0.00005 is half a unit");
    let sum = exact.checked_add(Exact::from(amount("1"))).unwrap();
    assert_eq!(rounded(sum), "1.0001");
    assert_eq!(PointValue::parse("0"), Err(DecimalError::NotPositive));
    assert_eq!(PointValue::parse("100000000"), Err(DecimalError::TooLarge(8)));
}

#[test]
fn fractions_are_exact_and_rounded_down() {
    let fraction = |scale, amounts: [&str; 3]| {
        let rounding = Rounding { scale, mode: RoundingMode::Up };
        let [a, b, c] = amounts.map(amount);
        rounding.fraction(a, b, c).map(|amount| amount.to_string())
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(fraction(4, ["20", "95", "120"]), some("15.8333"));
    assert_eq!(fraction(2, ["20", "95", "120"]), some("15.8300"));
    assert_eq!(fraction(4, ["7", "3", "3"]), some("7.0000"));
    assert_eq!(fraction(4, ["7", "0", "3"]), some("0.0000"));
    assert_eq!(fraction(4, ["0", "0", "0"]), None);
    let most = "9999999999999999.9999";
    assert_eq!(fraction(4, [most, most, most]), some(most));
    let (less, half) = ("9999999999999999.9998", "4999999999999999.9999");
    assert_eq!(fraction(4, [less, half, less]), some(half));
    assert_eq!(fraction(0, [less, half, less]), some("4999999999999999.0000"));
}

proptest::proptest! {
    /// Against the same quotient in one piece, where it fits.
    #[test]
    fn fractions_are_those_of_whole_numbers(
        amount in 0..10_i128.pow(18), part in 0..10_i128.pow(18), more in 1..10_i128.pow(18),
    ) {
        let of = |units| Amount::from_units(units).unwrap();
        let whole = part + more;
        let fraction = Rounding::default().fraction(of(amount), of(part), of(whole)).unwrap();
        proptest::prop_assert_eq!(fraction.units(), amount * part / whole);
    }
}

#[test]
fn negative_products_round_like_positive_ones() {
    let rounded = |mode, text| {
        let exact = Exact::from(amount(text));
        Rounding { scale: 0, mode }.round(exact).unwrap().units() / 10_000
    };
    for (mode, expected) in [
        (RoundingMode::HalfAwayFromZero, [-3, -2, 3, 2]),
        (RoundingMode::HalfEven, [-2, -2, 2, 2]),
        (RoundingMode::Down, [-2, -2, 2, 2]),
        (RoundingMode::Up, [-3, -3, 3, 3]),
    ] {
        let texts = ["-2.5", "-2.4", "2.5", "2.4"];
        assert_eq!(texts.map(|text| rounded(mode, text)), expected, "{mode:?}");
    }
    assert_eq!(rounded(RoundingMode::HalfEven, "3.5"), 4);
}

#[test]
fn rounding_is_to_four_decimals_unless_a_plan_says_otherwise() {
    let read = |yaml| yaml_serde::from_str::<Rounding>(yaml).unwrap();
    assert_eq!(read("{}"), Rounding { scale: 4, mode: RoundingMode::HalfAwayFromZero });
    assert_eq!(read("{mode: up}"), Rounding { scale: 4, mode: RoundingMode::Up });
    assert_eq!(read("{scale: 2}"), Rounding { scale: 2, mode: RoundingMode::HalfAwayFromZero });
}

#[test]
fn exact_products_print_every_digit_that_counts() {
    let product = |basis, percentage| {
        let percentage = Percentage::parse(percentage).unwrap();
        Exact::from(amount(basis)).percent(percentage).unwrap().to_string()
    };
    assert_eq!(product("199.90", "3"), "5.9970");
    assert_eq!(product("199.90", "0.125"), "0.249875");
    assert_eq!(product("-0.0001", "0.5"), "-0.0000005");
    assert_eq!(product("0", "1"), "0.0000");
}

#[test]
fn sums_and_differences_keep_within_what_an_amount_can_hold() {
    assert_eq!(sum([amount("1.5"), amount("2")]), Some(amount("3.5")));
    assert_eq!(sum([]), Some(Amount::ZERO));
    let largest = amount("9999999999999999.9999");
    assert_eq!(largest.checked_add(amount("0.0001")), None);
    assert_eq!(amount("1").checked_sub(amount("1.5")), Some(amount("-0.5")));
    for units in [10_i128.pow(20), -(10_i128.pow(20))] {
        assert_eq!(Amount::from_units(units), None);
        assert!(Amount::from_units(units - units.signum()).is_some());
    }
    assert_eq!(Amount::from_units(-15_000), Some(amount("-1.5")));
}

#[test]
fn percentages_keep_to_a_hundred() {
    assert_eq!(Percentage::parse("100.0001"), Err(DecimalError::OverHundred));
    assert_eq!(Percentage::parse("-1"), Err(DecimalError::Negative));
    assert_eq!(Percentage::parse("3").unwrap().to_string(), "3.00");
    assert_eq!(Percentage::parse("0.125").unwrap().to_string(), "0.125");
    assert_eq!(Percentage::parse("0.5").unwrap().to_string(), "0.50");
    assert_eq!(Percentage::parse("0.125").unwrap().units(), 1_250);
    assert_eq!(Percentage::from_units(1_250), Percentage::parse("0.125").ok());
    assert_eq!(Percentage::from_units(1_000_001), None);
    assert_eq!(Percentage::parse("70").unwrap().rest().to_string(), "30.00");
}
