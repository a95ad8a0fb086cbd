//! What happens in a scenario.

use chrono::{DateTime, Utc};
use uuid::Uuid;
use yaml_serde::Value;

use super::file::{
    EnrolFile, MoveFile, PlanStepFile, QuantityFile, RankFile, RetireFile, SaleFile, SharesFile,
    SplitFile, StatusFile,
};
use super::read::{NewMember, PlanSource, Reader, Scenario};
use crate::amount::{Amount, Percentage, sum};
use crate::history::{Change, What};
use crate::line;
use crate::reward_split::share_to_self;
use crate::rule_book::Retirement;
use crate::sale::{Moment, Sale, SaleLine, check_lines, event_id};
use crate::text;

/// The source under which scenarios' sales are posted.
pub const SOURCE: &str = "scenario";

/// One entry of the timeline.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its place in the file.
    pub place: usize,
    /// When it happens.
    pub at: DateTime<Utc>,
    /// What happens.
    pub kind: StepKind,
    /// The cause for which it must be refused.
    pub refused: Option<String>,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum StepKind {
    /// Somebody sells something.
    Sale(Box<NamedSale>),
    /// Somebody joins.
    Enrol(NewMember),
    /// A member's history changes.
    Change(Change),
    /// A plan version is applied.
    Plan(PlanSource),
    /// A plan is retired.
    Retire(Retirement),
}

impl Step {
    /// What people find the step by: `timeline[3] (line 22, rank: jana)`.
    pub(super) fn title(&self, scenario: &Scenario) -> String {
        let path = format!("timeline[{}]", self.place);
        let member = |id| scenario.names.get(&id).map_or("?", String::as_str);
        let (verb, name) = match &self.kind {
            StepKind::Sale(sale) => ("sale", sale.name.as_str()),
            StepKind::Enrol(new) => ("enrol", new.external_id.as_str()),
            StepKind::Change(change) => {
                let verb = match change.what {
                    What::Move { .. } => "move",
                    What::State { rank: Some(_), .. } => "rank",
                    What::State { .. } => "status",
                    What::Split { .. } => "split",
                };
                (verb, member(change.member_id))
            }
            StepKind::Plan(source) => {
                let plan = source.rule_set.as_ref().map(|rules| rules.plan.as_str());
                ("plan", plan.unwrap_or("one that is invalid"))
            }
            StepKind::Retire(retirement) => ("retire", retirement.plan.as_str()),
        };
        let line = line::of(&scenario.yaml, &path);
        let line = line.map_or_else(String::new, |line| format!("line {line}, "));
        format!("{path} ({line}{verb}: {name})")
    }
}

/// A sale under the name that the scenario gives it.
#[derive(Clone, Debug)]
pub struct NamedSale {
    /// The name.
    pub name: String,
    /// Who is credited.
    pub member_id: Uuid,
    /// What the shop calls the buyer.
    pub buyer_id: Option<String>,
    /// The facts.
    pub sale: Sale,
}

/// What PostgreSQL keeps of a moment.
pub(super) fn to_micros(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}

/// What a step is, by its first word.
const VERBS: [&str; 8] = ["sale", "enrol", "move", "split", "plan", "retire", "status", "rank"];

/// Reads an entry of the timeline.
pub(super) fn read(reader: &mut Reader<'_>, place: usize, value: Value) -> Option<Step> {
    let path = format!("timeline[{place}]");
    let Some(fields) = value.as_mapping() else {
        reader.flaw(&path, "must be a step: `at`, what happens, and what belongs to it");
        return None;
    };
    // An enrolment has a status and a rank too; so the order matters.
    let Some(verb) = VERBS.into_iter().find(|verb| fields.contains_key(*verb)) else {
        reader.flaw(&path, format!("must say what happens: one of {}", VERBS.join(", ")));
        return None;
    };
    let (at, kind, refused) = match verb {
        "sale" => sale(reader, &path, value)?,
        "enrol" => enrol(reader, &path, value)?,
        "plan" => plan(reader, &path, value)?,
        "retire" => retire(reader, &path, value)?,
        _ => change(reader, &path, verb, value)?,
    };
    Some(Step { place, at, kind, refused })
}

type Read = Option<(DateTime<Utc>, StepKind, Option<String>)>;

fn sale(reader: &mut Reader<'_>, path: &str, value: Value) -> Read {
    let file: SaleFile = reader.typed(path, value)?;
    let at = to_micros(file.at);
    let mut texts = vec![("sale".to_owned(), &file.sale)];
    texts.extend(file.product_id.iter().map(|text| ("product_id".to_owned(), text)));
    texts.extend(file.market.iter().map(|text| ("market".to_owned(), text)));
    for (place, line) in file.lines.iter().enumerate() {
        texts.push((format!("lines[{place}].id"), &line.id));
        texts.push((format!("lines[{place}].product_id"), &line.product_id));
        let category = line.category.iter();
        texts.extend(category.map(|text| (format!("lines[{place}].category"), text)));
    }
    for (field, value) in texts {
        if let Err(error) = text::check(value) {
            reader.flaw(&format!("{path}.{field}"), error);
        }
    }
    let lines: Vec<SaleLine> = file
        .lines
        .into_iter()
        .map(|line| SaleLine {
            id: line.id,
            product_id: line.product_id,
            category: line.category,
            quantity: match line.quantity {
                QuantityFile::Decimal(quantity) => quantity,
                QuantityFile::Whole(number) => {
                    Amount::from_units(i128::from(number) * 10_000).unwrap_or_default()
                }
            },
            amount: line.amount,
            volume: line.volume.unwrap_or(line.amount),
        })
        .collect();
    let of_lines = || sum(lines.iter().map(|line| line.volume)).unwrap_or_default();
    let default = if lines.is_empty() { file.amount } else { of_lines() };
    let volume = file.volume.unwrap_or(default);
    for (field, value) in [("amount", file.amount), ("volume", volume)] {
        if value < Amount::ZERO {
            reader.flaw(&format!("{path}.{field}"), "must not be negative");
        }
    }
    if file.amount.is_zero() && volume.is_zero() {
        reader.flaw(&format!("{path}.amount"), "amount and volume must not both be zero");
    }
    if let Err(error) = check_lines(&lines, file.amount, volume) {
        reader.flaw(&format!("{path}.lines"), error);
    }
    let moment = match Moment::of(at, at, &reader.programme) {
        Ok(moment) => moment,
        Err(error) => {
            reader.flaw(&format!("{path}.at"), error);
            return None;
        }
    };
    let member_id = reader.member(&format!("{path}.member"), &file.member);
    let (buyer_type, buyer_id) =
        file.buyer.map_or((None, None), |buyer| (Some(buyer.kind), buyer.id));
    let sale = Sale {
        event_id: event_id(SOURCE, &file.sale),
        amount: file.amount,
        volume,
        currency: file.currency,
        source_type: file.source_type.unwrap_or_default(),
        product_id: file.product_id,
        order_kind: file.order_kind.unwrap_or_default(),
        market: file.market,
        buyer_type,
        lines,
        as_of: moment.as_of,
        earned_period: moment.period,
    };
    let sale = NamedSale { name: file.sale, member_id, buyer_id, sale };
    Some((at, StepKind::Sale(Box::new(sale)), None))
}

fn enrol(reader: &mut Reader<'_>, path: &str, value: Value) -> Read {
    let file: EnrolFile = reader.typed(path, value)?;
    let at = to_micros(file.at);
    let id = reader.member(&format!("{path}.enrol"), &file.enrol);
    let sponsor = file.sponsor.as_deref();
    let sponsor_id = sponsor.map(|name| reader.member(&format!("{path}.sponsor"), name));
    if sponsor_id == Some(id) {
        reader.flaw(&format!("{path}.sponsor"), "a member cannot be their own sponsor");
    }
    if let Some(name) = &file.name {
        reader.check_text(&format!("{path}.name"), name);
    }
    let member = NewMember {
        id,
        external_id: file.enrol,
        name: file.name,
        sponsor_id,
        status: file.status.unwrap_or_default(),
        rank: reader.rank(&format!("{path}.rank"), file.rank.as_deref()),
        joined_at: file.joined_at.map_or(at, to_micros),
    };
    Some((at, StepKind::Enrol(member), file.refused))
}

fn plan(reader: &mut Reader<'_>, path: &str, value: Value) -> Read {
    let file: PlanStepFile = reader.typed(path, value)?;
    let at = format!("{path}.plan");
    let source = reader.plan(&at, file.plan, file.refused.is_none())?;
    Some((to_micros(file.at), StepKind::Plan(source), file.refused))
}

fn retire(reader: &mut Reader<'_>, path: &str, value: Value) -> Read {
    let file: RetireFile = reader.typed(path, value)?;
    let from = reader.programme.start_of_day(file.from);
    let retirement = Retirement { plan: file.retire, from };
    Some((to_micros(file.at), StepKind::Retire(retirement), file.refused))
}

fn change(reader: &mut Reader<'_>, path: &str, verb: &str, value: Value) -> Read {
    let (at, name, what, refused) = match verb {
        "move" => {
            let file: MoveFile = reader.typed(path, value)?;
            let to = file.to.as_deref();
            let new_sponsor_id = to.map(|name| reader.member(&format!("{path}.to"), name));
            (file.at, file.member, What::Move { new_sponsor_id }, file.refused)
        }
        "status" => {
            let file: StatusFile = reader.typed(path, value)?;
            let what = What::State { status: Some(file.to), rank: None };
            (file.at, file.status, what, file.refused)
        }
        "rank" => {
            let file: RankFile = reader.typed(path, value)?;
            let rank = reader.rank(&format!("{path}.to"), Some(&file.to));
            (file.at, file.rank, What::State { status: None, rank: Some(rank) }, file.refused)
        }
        _ => {
            let file: SplitFile = reader.typed(path, value)?;
            if file.monetary.is_none() && file.career_points.is_none() {
                reader.flaw(path, "say the shares of monetary, of career_points or of both");
            }
            let money_to_self = share(reader, path, "monetary", file.monetary);
            let points_to_self = share(reader, path, "career_points", file.career_points);
            (file.at, file.split, What::Split { money_to_self, points_to_self }, file.refused)
        }
    };
    let at = to_micros(at);
    let member_id = reader.member(&format!("{path}.{verb}"), &name);
    let change = Change { member_id, effective_at: Some(at), what };
    Some((at, StepKind::Change(change), refused))
}

fn share(
    reader: &mut Reader<'_>,
    path: &str,
    field: &str,
    shares: Option<SharesFile>,
) -> Option<Percentage> {
    let shares = shares?;
    match share_to_self(shares.to_self, shares.to_referral) {
        Ok(share) => Some(share),
        Err(error) => {
            reader.flaw(&format!("{path}.{field}"), error);
            None
        }
    }
}
