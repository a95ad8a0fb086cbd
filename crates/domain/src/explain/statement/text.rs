//! A statement for people.

use super::{StatementHead, StatementLine, Sum};
use crate::decision::EntryType;
use crate::explain::page::{WIDTH, clip, facts, wrap};

impl StatementHead {
    /// The head as a text.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { member, period, first_day, last_day, time_zone, waiting_sales } = self;
        let rows = [
            ("  member", clip(&member.label(), WIDTH - 10)),
            ("  period", format!("{period}: {first_day} to {last_day}, days in {time_zone}")),
        ];
        let mut text = format!("Statement of commissions\n{}", facts(&rows));
        if !waiting_sales.is_empty() {
            let each = waiting_sales.iter().map(|(cause, sales)| format!("{sales} for {cause}"));
            let each: Vec<String> = each.collect();
            let words = format!(
                "Not settled yet are sales of the member's own that wait: {}. What they will pay is \
                 not in this statement.",
                each.join(", ")
            );
            text.push_str(&wrap(&words, "\n", ""));
        }
        text
    }

    /// Below the last sum: what the reader may rely on, and whom to ask.
    #[must_use]
    pub fn foot(&self) -> String {
        let words = "Every amount above was computed again from the sale, and from the ranks, \
                     statuses, sponsors and rules as they stood at the sale's moment. To ask about \
                     a line, quote its date and the sale's number.";
        wrap(words, "\n", "")
    }
}

impl StatementLine {
    /// The line as a paragraph.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { date, amount, currency, .. } = self;
        let order = match (&self.external_id, &self.source) {
            (Some(order), Some(source)) => format!("sale {order} of {source}"),
            _ => format!("entry {}", self.event_id),
        };
        let indent = " ".repeat(14);
        let mut text = wrap(
            &format!("{}: {amount} {currency}{}, {order}", self.title(), self.points()),
            &format!("  {date}  "),
            &indent,
        );
        let mut say = |words: &str| text.push_str(&wrap(words, &indent, &indent));
        if let (Some(seller), Some(worth)) = (&self.seller, &self.sale_amount) {
            let place = match self.level {
                Some(0) => "the member's own sale".to_owned(),
                Some(1) => "the member is the seller's level 1, the sponsor".to_owned(),
                Some(level) => format!("the member is the seller's level {level}"),
                None => String::new(),
            };
            let place = match (self.entry_type == EntryType::ReferralReward.name(), self.level) {
                (true, _) => "the sponsor shares the reward with the member, who sold".to_owned(),
                (false, Some(level)) if self.depth != level.try_into().ok() => {
                    let depth = self.depth.unwrap_or_default();
                    format!("the member takes level {level}, standing {depth} above the seller")
                }
                _ => place,
            };
            let products = match self.products.as_slice() {
                [] => String::new(),
                products => format!(": {}", products.join(", ")),
            };
            say(&format!("sold by {} for {worth} {currency}{products}; {place}", seller.label()));
        }
        if let (Some(rule), Some(name), Some(plan), Some(version)) =
            (&self.rule, &self.rule_name, &self.plan, &self.version)
        {
            let title = if name == rule { rule.clone() } else { format!("{rule} ({name})") };
            let standing = match (&self.rank, self.status) {
                (Some(rank), Some(status)) => format!("; the member was {rank} and {status} then"),
                _ => String::new(),
            };
            say(&format!("rule {title} of plan {plan}, version {version}{standing}"));
        }
        self.calculations.iter().for_each(|calculation| say(calculation));
        if let Some(verdict) = &self.verdict {
            say(verdict);
        }
        for problem in &self.problems {
            say(&format!("NOT EXPLAINED: {problem}"));
        }
        text
    }

    /// What kind of line it is, for people.
    fn title(&self) -> &str {
        match self.entry_type.as_str() {
            "LEVEL_COMMISSION" => "level commission",
            "DIFFERENTIAL" => "differential",
            "BONUS" => "bonus",
            "REFERRAL_REWARD" => "referral reward",
            "CLAWBACK" => "clawback",
            "ADJUSTMENT" => "adjustment",
            "PAYOUT" => "payout",
            "FEE" => "fee",
            other => other,
        }
    }

    fn points(&self) -> String {
        if self.career_points.is_zero() {
            return String::new();
        }
        format!(" and {} career points", self.career_points)
    }
}

impl Sum {
    /// The sum as a text.
    #[must_use]
    pub fn text(&self, currency: &str) -> String {
        let Self { lines, amount, career_points } = self;
        let points = if career_points.is_zero() {
            String::new()
        } else {
            format!(" and {career_points:.4} career points")
        };
        let words = format!("Sum of {lines} line(s): {amount:.4} {currency}{points}");
        wrap(&words, "\n  ", "    ")
    }
}
