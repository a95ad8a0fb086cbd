//! Other worlds: with other rules, other ranks, or tree and states of another moment.

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use domain::amount::Amount;
use domain::calendar;
use domain::explain::as_if_in_force;
use domain::inputs::Inputs;
use domain::ladder::Rank;
use domain::rule_book::PlanVersion;
use domain::rule_set::RuleSet;
use domain::sale::Sale;
use domain::settle::{self, SEMANTICS_VERSION, Settlement, Unrepeatable};
use store::explaining::{self, Books};
use store::{PgConnection, StoreError};
use uuid::Uuid;

use super::case::Case;
use crate::input;
use crate::members::moment::Moment;
use crate::members::question;
use crate::plan::Source;

/// Which other world is asked about.
#[derive(Debug, clap::Args)]
#[group(id = "other_world", multiple = false)]
pub(super) struct WorldArgs {
    /// Price by this plan file as if it had been in force at the sale's moment, whatever its
    /// `valid_from`; rules with days of their own keep them
    #[arg(long, value_name = "PLAN.yaml")]
    against: Option<String>,

    /// Take tree, ranks, statuses and reward splits as they stood then, not at the sale's moment
    #[arg(long, value_name = "WHEN")]
    as_of: Option<Moment>,

    /// Take another rank for a member; may be repeated
    #[arg(long, value_name = "MEMBER=RANK")]
    rank: Vec<String>,

    /// Look for the world that pays the member this amount
    #[arg(long, value_name = "AMOUNT", value_parser = Amount::parse)]
    pub(super) why_not: Option<Amount>,
}

impl WorldArgs {
    /// Whether another world is asked about at all.
    pub(super) fn is_given(&self) -> bool {
        let Self { against, as_of, rank, why_not } = self;
        against.is_some() || as_of.is_some() || !rank.is_empty() || why_not.is_some()
    }
}

/// What is different, and how to say it.
#[derive(Clone, Debug)]
pub(super) struct Otherwise {
    /// As a phrase: `with rank GOLD instead of SILVER`.
    pub(super) phrase: String,
    change: Difference,
}

#[derive(Clone, Debug)]
enum Difference {
    /// Any sale is priced by these rules.
    Rules(Box<RuleSet>),
    /// Sales of this plan are priced by these rules.
    Version(Box<RuleSet>),
    /// Everybody stands as they stood then.
    Moment(DateTime<Utc>),
    /// These members have these ranks.
    Ranks(Vec<(Uuid, Rank)>),
}

/// A sale in another world.
pub(super) struct Inhabited {
    pub(super) version: PlanVersion,
    pub(super) inputs: Inputs,
    pub(super) settlement: Settlement,
    /// That another version of the arithmetic computed it than computes the sale, and why: as a
    /// phrase.
    pub(super) arithmetic: Option<String>,
}

impl Otherwise {
    /// The world that the command line asks for.
    pub(super) async fn read(
        conn: &mut PgConnection,
        args: &WorldArgs,
        books: &Books,
    ) -> anyhow::Result<Self> {
        if let Some(path) = &args.against {
            let rules = compile(path, books)?;
            let (plan, version) = (&rules.plan, &rules.version);
            let name = input::name(path);
            let phrase = format!(
                "with {name} (plan {plan}, version {version}) as if it had been in force then"
            );
            return Ok(Self { phrase, change: Difference::Rules(Box::new(rules)) });
        }
        if let Some(moment) = args.as_of {
            let moment = moment.instant(&books.programme);
            let when = calendar::moment(&books.programme, moment);
            return Ok(Self::as_of(moment, &format!("as they stood at {when}")));
        }
        let mut ranks = Vec::with_capacity(args.rank.len());
        let mut phrases = Vec::with_capacity(args.rank.len());
        for written in &args.rank {
            let Some((name, rank)) = written.rsplit_once('=') else {
                bail!("--rank: write MEMBER=RANK, such as M-1001=GOLD, not {written:?}")
            };
            let member_id = question::find(conn, name).await?;
            if ranks.iter().any(|(known, _)| *known == member_id) {
                bail!("--rank: {name} is given two ranks; one world has one")
            }
            ranks.push((member_id, books.ladder.rank(rank).context("--rank")?));
            phrases.push(format!("with rank {rank} for {name}"));
        }
        Ok(Self { phrase: phrases.join(" and "), change: Difference::Ranks(ranks) })
    }

    /// Everybody as they stood at a moment.
    pub(super) fn as_of(moment: DateTime<Utc>, when: &str) -> Self {
        let phrase = format!("with tree, ranks, statuses and reward splits {when}");
        Self { phrase, change: Difference::Moment(moment) }
    }

    /// One member with another rank.
    pub(super) fn rank(member_id: Uuid, rank: Rank, phrase: String) -> Self {
        Self { phrase, change: Difference::Ranks(vec![(member_id, rank)]) }
    }

    /// Another applied version of a plan.
    pub(super) fn version(rules: &RuleSet, books: &Books) -> Self {
        let RuleSet { plan, version, valid_from, .. } = rules;
        let from = calendar::beginning(&books.programme, *valid_from);
        Self {
            phrase: format!("with plan {plan}, version {version} (in force from {from})"),
            change: Difference::Version(Box::new(rules.clone())),
        }
    }

    /// The sale in this world. The error says why it would not be settled there; nothing: this world
    /// is no other one for this sale.
    pub(super) async fn inhabit(
        &self,
        conn: &mut PgConnection,
        case: &Case,
    ) -> Result<Option<Result<Inhabited, String>>, StoreError> {
        let sale = &case.outcome.sale;
        let own = &case.version.rule_set;
        let rules = match &self.change {
            Difference::Rules(rules) => {
                if let Err(reason) = check_source_type(rules, sale) {
                    return Ok(Some(Err(reason)));
                }
                as_if_in_force(rules, sale.as_of)
            }
            Difference::Version(rules) if rules.plan != own.plan || **rules == *own => {
                return Ok(None);
            }
            Difference::Version(rules) => as_if_in_force(rules, sale.as_of),
            Difference::Moment(_) | Difference::Ranks(_) => own.clone(),
        };
        let moment = match self.change {
            Difference::Moment(moment) => moment,
            _ => sale.as_of,
        };
        let seller_id = case.inputs.seller.member_id;
        let inputs = explaining::inputs_as_of(conn, seller_id, moment, rules.reads()).await?;
        let Some(mut inputs) = inputs else {
            return Ok(Some(Err(format!("member {seller_id} is not enrolled"))));
        };
        if let Difference::Ranks(ranks) = &self.change {
            for visit in std::iter::once(&mut inputs.seller).chain(&mut inputs.upline) {
                let other = ranks.iter().find(|(member_id, _)| *member_id == visit.member_id);
                visit.rank = other.map_or(visit.rank, |(_, rank)| *rank);
            }
        }
        Ok(Some(settle_there(case.outcome.semantics, sale, &inputs, &rules).map(
            |(settlement, arithmetic)| {
                let (number, rule_numbers) = (case.version.number, Vec::new());
                let version = PlanVersion { number, rule_numbers, rule_set: rules };
                Inhabited { version, inputs, settlement, arithmetic }
            },
        )))
    }
}

/// Settles by the arithmetic that made the outcome, so that nothing differs but what is asked about;
/// by the present one where the former does not know such rules, and says so. The error says why
/// neither settles it.
fn settle_there(
    semantics: i16,
    sale: &Sale,
    inputs: &Inputs,
    rules: &RuleSet,
) -> Result<(Settlement, Option<String>), String> {
    let why = match settle::settle_as(semantics, sale, inputs, rules) {
        Ok(settlement) => return Ok((settlement, None)),
        Err(Unrepeatable::Unsettleable(error)) => return Err(error.to_string()),
        Err(Unrepeatable::BeyondVersion1(what)) => format!("version {semantics} knows no {what}"),
        Err(Unrepeatable::Semantics(_)) => format!("version {semantics} is unknown here"),
    };
    let settlement = settle::settle(sale, inputs, rules).map_err(|error| error.to_string())?;
    let note = format!("by version {SEMANTICS_VERSION} of the arithmetic, because {why}");
    Ok((settlement, Some(note)))
}

fn check_source_type(rules: &RuleSet, sale: &Sale) -> Result<(), String> {
    if rules.source_types.is_empty() || rules.names(sale.source_type) {
        return Ok(());
    }
    Err(format!("plan {} is not for {} sales", rules.plan, sale.source_type))
}

/// The rules of a plan file.
fn compile(path: &str, books: &Books) -> anyhow::Result<RuleSet> {
    let source = Source::read(path)?;
    source.compile(&books.ladder, &books.programme).map_err(|flaws| {
        let flaws = flaws.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  ");
        let name = &source.name;
        anyhow::anyhow!(
            "{name} is no plan that could be applied (see `lineage plan check`):\n  {flaws}"
        )
    })
}
