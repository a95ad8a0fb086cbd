//! A digest over what was verified: equal for two verifications that saw the same outcomes and
//! lines, however many jobs they had.
//!
//! Outcomes are written down field by field, in the order of event ids, each value behind its length.
//! Every range of ids has a SHA-256 of its own, because ranges are verified at the same time; the
//! digest is the SHA-256 of theirs, in their order.

use domain::recompute::{StoredLine, StoredOutcome};
use domain::sale::BuyerType;
use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};

/// Written first. Another way to write outcomes down gets another name.
const NAME: &[u8] = b"lineage verify 1";

/// The digest of one range while it is read.
#[derive(Clone, Debug)]
pub(super) struct RangeDigest(Sha256);

impl RangeDigest {
    pub(super) fn new() -> Self {
        Self(Sha256::new_with_prefix(NAME))
    }

    /// Takes the next outcome of the range: the event's facts, the outcome, and its lines.
    pub(super) fn add(&mut self, outcome: &StoredOutcome) {
        let sale = &outcome.sale;
        self.bytes(sale.event_id.as_bytes());
        self.decimal(&sale.amount.to_decimal());
        self.decimal(&sale.volume.to_decimal());
        self.text(sale.currency.code());
        self.text(sale.source_type.name());
        self.optional(sale.product_id.as_deref());
        self.text(sale.order_kind.name());
        self.optional(sale.market.as_deref());
        self.optional(sale.buyer_type.map(BuyerType::name));
        self.integer(sale.as_of.timestamp_micros());
        self.text(&sale.earned_period.to_string());
        self.length(sale.lines.len());
        for line in &sale.lines {
            self.text(&line.id);
            self.text(&line.product_id);
            self.optional(line.category.as_deref());
            for amount in [line.quantity, line.amount, line.volume] {
                self.decimal(&amount.to_decimal());
            }
        }
        self.integer(outcome.settled_at.timestamp_micros());
        self.integer(i64::from(outcome.plan_number));
        self.integer(i64::from(outcome.semantics));
        self.integer(i64::from(outcome.line_count));
        self.decimal(&outcome.breakage);
        match &outcome.inputs {
            Ok(inputs) => self.bytes(&inputs.pack()),
            Err(unreadable) => self.text(unreadable),
        }
        self.length(outcome.lines.len());
        for line in &outcome.lines {
            self.line(line);
        }
    }

    fn line(&mut self, line: &StoredLine) {
        self.integer(i64::from(line.line));
        self.bytes(line.member_id.as_bytes());
        self.text(&line.entry_type);
        self.optional(line.level.map(|level| level.to_string()).as_deref());
        self.optional(line.depth.map(|depth| depth.to_string()).as_deref());
        self.optional(line.rule_number.map(|number| number.to_string()).as_deref());
        self.decimal(&line.amount);
        self.decimal(&line.career_points);
        self.text(&line.currency);
        self.text(&line.earned_period.to_string());
        self.text(&line.posted_period.to_string());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        self.length(usize::from(text.is_some()));
        self.text(text.unwrap_or_default());
    }

    fn length(&mut self, length: usize) {
        self.0.update((length as u64).to_be_bytes());
    }

    fn integer(&mut self, number: i64) {
        self.0.update(number.to_be_bytes());
    }

    /// With four decimals, however many zeros the driver read.
    fn decimal(&mut self, amount: &Decimal) {
        self.text(&format!("{amount:.4}"));
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// The digest of all ranges, in their order.
pub(super) fn of_ranges(ranges: &[[u8; 32]]) -> String {
    let mut all = Sha256::new();
    for range in ranges {
        all.update(range);
    }
    let digest: [u8; 32] = all.finalize().into();
    let hex: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{}", hex.concat())
}
