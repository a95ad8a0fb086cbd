//! What became of an offer, in sentences, with the values that were compared.

use super::settled::Teller;
use crate::amount::{Amount, Exact, Percentage, Total};
use crate::calculation::Deal;
use crate::caps::CapMode;
use crate::decision::{Beneficiary, Decision, EntryType, Passage, Reason, Reward, Verdict};
use crate::member::MemberStatus;
use crate::rule_set::Rule;
use crate::settle::{Line, Settlement};

/// What the plan's caps allow one sale to pay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// What one line may pay.
    line: Option<Amount>,
    /// What all lines may pay together, and who gives way.
    sale: Option<(Amount, CapMode)>,
    /// What all lines claim, after the cap of a line.
    claimed: Total,
}

impl Limits {
    /// What the cap of a line leaves of a claim.
    fn of_line(&self, money: Amount) -> Amount {
        self.line.map_or(money, |most| money.min(most))
    }
}

impl Teller<'_> {
    pub(super) fn limits(&self, settlement: &Settlement) -> Limits {
        let rule_set = &self.version.rule_set;
        let caps = rule_set.caps.as_ref();
        let (line, all) =
            caps.map_or((None, None), |caps| caps.limits(self.sale, rule_set.rounding));
        let mode = caps.and_then(|caps| caps.sale.as_ref()).map(|cap| cap.mode);
        let mut limits = Limits { line, sale: all.zip(mode), claimed: Total::ZERO };
        let taken = settlement.decisions.iter().filter_map(|decision| match decision.verdict {
            Verdict::Paid(taken) => Some(taken.money),
            Verdict::NotPaid(_) | Verdict::Passed(..) => None,
        });
        limits.claimed = taken.map(|money| limits.of_line(money)).sum();
        limits
    }

    /// The plan's caps and what they come to in this sale.
    pub(super) fn caps_sentences(&self, limits: &Limits) -> Vec<String> {
        let currency = self.sale.currency;
        let described = self.version.rule_set.caps.as_ref().map(crate::caps::Caps::describe);
        let here = |name: &str| match name {
            "line cap" => limits.line.map(|most| format!("{most} {currency} a line")),
            _ => limits.sale.map(|(most, _)| {
                let claimed = limits.claimed;
                format!("{most} {currency} in all; the lines claim {claimed} {currency}")
            }),
        };
        let sentence = |(name, phrase): (&str, String)| {
            let here = here(name).unwrap_or_else(|| format!("no limit in {currency}"));
            format!("{name}: {phrase}. Here {here}")
        };
        described.into_iter().flatten().map(sentence).collect()
    }

    pub(super) fn verdict(
        &self,
        rule: &Rule,
        deal: &Deal<'_>,
        decision: &Decision,
        posted: &[&Line],
    ) -> String {
        match decision.verdict {
            Verdict::Paid(taken) => self.paid_sentence(decision, taken, posted),
            Verdict::NotPaid(reason) => {
                let sentence = self.reason_sentence(rule, deal, decision, reason);
                match reason {
                    Reason::NoTier | Reason::Zero | Reason::NoRate | Reason::Counted => {
                        format!("nothing to get: {sentence}")
                    }
                    Reason::OutsideWindow => format!("not offered: {sentence}"),
                    _ => format!("not paid: {sentence}"),
                }
            }
            Verdict::Passed(reason, passage) => {
                let sentence = self.reason_sentence(rule, deal, decision, reason);
                match passage {
                    Passage::Compressed => format!("compressed, uses up no level: {sentence}"),
                    Passage::RolledUp => format!("not paid, the level rolls up: {sentence}"),
                }
            }
        }
    }

    /// What happens between the offer and the ledger: caps and the reward split, written out.
    pub(super) fn after_the_offer(
        &self,
        decision: &Decision,
        posted: &[&Line],
        limits: &Limits,
    ) -> Vec<String> {
        let Verdict::Paid(taken) = decision.verdict else { return Vec::new() };
        let mut written = if decision.capped.is_zero() {
            Vec::new()
        } else {
            self.cap_sentences(decision, taken.money, limits)
        };
        written.extend(self.split_sentences(decision, posted));
        written
    }

    fn paid_sentence(&self, decision: &Decision, taken: Reward, posted: &[&Line]) -> String {
        let currency = self.sale.currency;
        let mut sentences = Vec::new();
        if let Some(rest) = decision.offered.checked_sub(taken)
            && !rest.money.is_zero()
        {
            let offered = decision.offered.money;
            sentences.push(format!(
                "of the {offered} {currency} that the highest rank would get, {} is breakage",
                rest.money
            ));
        }
        for line in posted {
            let gets = self.gets(line);
            sentences.push(if line.entry_type == EntryType::ReferralReward {
                format!("{} is {gets}", self.people.person(line.member_id).label())
            } else {
                gets
            });
        }
        if posted.is_empty() {
            sentences.push("nothing is left to pay".to_owned());
        }
        sentences.join("; ")
    }

    /// What a ledger line gives.
    pub(super) fn gets(&self, line: &Line) -> String {
        let currency = self.sale.currency;
        let Line { amount, career_points, .. } = line;
        match (amount.is_zero(), career_points.is_zero()) {
            (false, true) => format!("paid {amount} {currency}"),
            (true, _) => format!("credited {career_points} career points"),
            (false, false) => {
                format!("paid {amount} {currency}, credited {career_points} career points")
            }
        }
    }

    /// Which cap cuts how much, with the division written out.
    fn cap_sentences(&self, decision: &Decision, taken: Amount, limits: &Limits) -> Vec<String> {
        let currency = self.sale.currency;
        let mut sentences = Vec::new();
        let claim = limits.of_line(taken);
        if claim != taken {
            sentences.push(format!("cap of a line: {taken} cut to {claim} {currency}"));
        }
        let granted = taken.checked_sub(decision.capped).unwrap_or_default();
        if let Some((most, mode)) = limits.sale
            && granted != claim
        {
            let claimed = limits.claimed;
            sentences.push(match mode {
                CapMode::ProRata => format!(
                    "cap of the sale: {claim} × {most} ÷ {claimed} = {granted} {currency}, \
                     rounded down"
                ),
                CapMode::LowestLevelFirst => format!(
                    "cap of the sale: of {most} {currency}, lower levels leave {granted} of the \
                     {claim} claimed here"
                ),
                CapMode::HardStop => format!(
                    "cap of the sale: {claim} claimed here, or a line before it, does not fit \
                     into {most} {currency}; from there on nothing is paid"
                ),
            });
        }
        sentences
    }

    /// How the sponsor shares a direct reward with the seller, or why not.
    fn split_sentences(&self, decision: &Decision, posted: &[&Line]) -> Vec<String> {
        let (Some(split), Some(who)) = (self.inputs.split, decision.beneficiary) else {
            return Vec::new();
        };
        if (decision.level, who.depth) != (1, 1) || posted.is_empty() {
            return Vec::new();
        }
        let seller = self.people.person(self.inputs.seller.member_id).label();
        let shared = posted.iter().find(|line| line.entry_type == EntryType::ReferralReward);
        let Some(shared) = shared else {
            let status = self.inputs.seller.status;
            if status == MemberStatus::Active {
                return Vec::new();
            }
            return vec![format!(
                "reward split: nothing goes to the seller, whose status was {}; only ACTIVE \
                 members earn",
                status.name()
            )];
        };
        let share = |to_self: Percentage, unit: &str, part: fn(&Line) -> Amount| {
            let share = to_self.rest();
            let result = part(shared);
            let whole: Total = posted.iter().map(|line| part(line)).sum();
            // The parts of one line, which was an amount.
            let exact = whole.amount().and_then(|whole| Exact::from(whole).percent(share));
            let exact = exact.map(|exact| exact.to_string());
            let exact = exact.filter(|exact| *exact != result.to_string());
            // Rounding up never takes more than there is.
            let rounded = if whole == result.into() { "at most" } else { "rounded" };
            let exact = exact.map_or_else(String::new, |exact| format!("{exact}, {rounded} "));
            format!(
                "reward split: {share} % of {whole} {unit} = {exact}{result} to the seller {seller}"
            )
        };
        let mut sentences = Vec::new();
        if !shared.amount.is_zero() {
            let currency = self.sale.currency;
            sentences.push(share(split.money_to_self, currency.code(), |line| line.amount));
        }
        if !shared.career_points.is_zero() {
            let part: fn(&Line) -> Amount = |line| line.career_points;
            sentences.push(share(split.points_to_self, "career points", part));
        }
        sentences
    }

    /// Why somebody gets nothing, with what was compared.
    fn reason_sentence(
        &self,
        rule: &Rule,
        deal: &Deal<'_>,
        decision: &Decision,
        reason: Reason,
    ) -> String {
        let who = decision.beneficiary.as_ref();
        let rank = who.map_or_else(String::new, |who| self.ladder.name(who.visit.rank));
        let currency = self.sale.currency;
        let calculation = rule.calculation.as_calculate();
        if let Some(sentence) = calculation.why_not(deal, decision, reason, &rank) {
            return sentence;
        }
        match reason {
            Reason::Inactive => {
                let status = who.map_or("unknown", |who| who.visit.status.name());
                format!("the status was {status}; only ACTIVE members earn")
            }
            Reason::UnderRank => format!("rank {rank} is below the lowest allowed"),
            Reason::Ineligible => {
                let values =
                    |who: &Beneficiary| deal.why_ineligible(who, decision.level, self.ladder);
                format!("not eligible, because {}", who.map(values).unwrap_or_default())
            }
            Reason::NoUpline => match decision.level {
                1 => "the seller has no sponsor".to_owned(),
                // Inputs end with the last member who was visited, so they cannot say where.
                level => format!("the upline ends below level {level}"),
            },
            Reason::NoTier => "the sale is below the first tier".to_owned(),
            Reason::Zero => "the share rounds to zero".to_owned(),
            Reason::RateBelowTop => "a higher rank would get more".to_owned(),
            Reason::NotHigher => {
                format!("the rate of rank {rank} is not above the highest one below")
            }
            Reason::Counted => {
                "the seller's own rate counts, but is not paid by this rule".to_owned()
            }
            Reason::OutsideWindow => "the seller joined too long before the sale".to_owned(),
            Reason::NoRate => format!("the rule says nothing about {currency}"),
            Reason::Capped => "a cap of the plan cuts it".to_owned(),
        }
    }
}
