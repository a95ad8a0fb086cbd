//! The positions of an order.

use thiserror::Error;

use crate::amount::{Amount, sum};

/// Most lines that a sale can have.
pub const LINES_MAX: usize = 500;

/// One position of an order. Each selects its rules by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaleLine {
    /// The shop's name for the position, unique within the sale.
    pub id: String,
    /// The product.
    pub product_id: String,
    /// The kind of product, when the shop says.
    pub category: Option<String>,
    /// How many; more than zero.
    pub quantity: Amount,
    /// The position's commissionable value.
    pub amount: Amount,
    /// The points that the programme gives the position.
    pub volume: Amount,
}

/// Why lines do not make up a sale.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LinesError {
    /// More than [`LINES_MAX`].
    #[error("a sale has at most {LINES_MAX} lines")]
    TooMany,
    /// Two lines with one id.
    #[error("line {place}: the id {id:?} is used twice")]
    Twice {
        /// The line's place, counted from 0.
        place: usize,
        /// The id.
        id: String,
    },
    /// A line of nothing.
    #[error("line {place}: quantity must be more than zero")]
    NoQuantity {
        /// The line's place, counted from 0.
        place: usize,
    },
    /// A line that takes something away. Refunds are events of their own.
    #[error("line {place}: {field} must not be negative")]
    Negative {
        /// The line's place, counted from 0.
        place: usize,
        /// `amount` or `volume`.
        field: &'static str,
    },
    /// Lines that no sale is large enough for.
    #[error("the lines' {field} sums up to more than 16 digits before the decimal point")]
    TooLarge {
        /// `amount` or `volume`.
        field: &'static str,
    },
    /// The lines are not the sale.
    #[error("the lines' {field} sums up to {sum}, the sale's is {total}")]
    Sum {
        /// `amount` or `volume`.
        field: &'static str,
        /// Of the lines.
        sum: Amount,
        /// Of the sale.
        total: Amount,
    },
}

/// Checks that lines make up a sale of this amount and volume. No lines always do: the sale is then
/// priced as a whole.
pub fn check_lines(lines: &[SaleLine], amount: Amount, volume: Amount) -> Result<(), LinesError> {
    if lines.len() > LINES_MAX {
        return Err(LinesError::TooMany);
    }
    for (place, line) in lines.iter().enumerate() {
        if lines[..place].iter().any(|other| other.id == line.id) {
            return Err(LinesError::Twice { place, id: line.id.clone() });
        }
        if line.quantity <= Amount::ZERO {
            return Err(LinesError::NoQuantity { place });
        }
        for (field, value) in [("amount", line.amount), ("volume", line.volume)] {
            if value < Amount::ZERO {
                return Err(LinesError::Negative { place, field });
            }
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    for (field, value, total) in [
        ("amount", (|line| line.amount) as fn(&SaleLine) -> Amount, amount),
        ("volume", |line| line.volume, volume),
    ] {
        let Some(sum) = sum(lines.iter().map(value)) else {
            return Err(LinesError::TooLarge { field });
        };
        if sum != total {
            return Err(LinesError::Sum { field, sum, total });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, quantity: &str, amount: &str, volume: &str) -> SaleLine {
        let amount_of = |text| Amount::parse(text).unwrap();
        SaleLine {
            id: id.to_owned(),
            product_id: "SKU".to_owned(),
            category: None,
            quantity: amount_of(quantity),
            amount: amount_of(amount),
            volume: amount_of(volume),
        }
    }

    #[test]
    fn lines_sum_up_to_the_sale() {
        let total = |text| Amount::parse(text).unwrap();
        let check = |lines: &[SaleLine]| check_lines(lines, total("10"), total("7"));
        let (a, b) = (line("a", "1", "4", "5"), line("b", "0.5", "6", "2"));
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[a.clone(), b.clone()]), Ok(()));
        assert_eq!(
            check(std::slice::from_ref(&a)),
            Err(LinesError::Sum { field: "amount", sum: total("4"), total: total("10") })
        );
        assert_eq!(
            check(&[a.clone(), line("b", "1", "6", "2.0001")]),
            Err(LinesError::Sum { field: "volume", sum: total("7.0001"), total: total("7") })
        );
        let twice = LinesError::Twice { place: 1, id: "a".to_owned() };
        assert_eq!(check(&[a.clone(), line("a", "1", "6", "2")]), Err(twice));
        let nothing = line("b", "0", "6", "2");
        assert_eq!(check(&[a.clone(), nothing]), Err(LinesError::NoQuantity { place: 1 }));
        let (more, less) = (line("a", "1", "11", "5"), line("b", "1", "-1", "2"));
        assert_eq!(check(&[more, less]), Err(LinesError::Negative { place: 1, field: "amount" }));
        // No sum at all is not a sum of zero.
        let most = "9999999999999999";
        let beyond = [line("a", "1", most, "0"), line("b", "1", most, "0")];
        let too_large = LinesError::TooLarge { field: "amount" };
        assert_eq!(check_lines(&beyond, Amount::ZERO, Amount::ZERO), Err(too_large));
        let many: Vec<_> = (0..=LINES_MAX).map(|n| line(&n.to_string(), "1", "0", "0")).collect();
        assert_eq!(check_lines(&many, Amount::ZERO, Amount::ZERO), Err(LinesError::TooMany));
    }
}
