//! `lineage members split`: how a member shares direct rewards from a moment on.

use std::fmt;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Context as _;
use domain::amount::Percentage;
use domain::calendar;
use domain::history::{Change, What};
use domain::reward_split::{RewardSplit, share_to_self};
use serde::Serialize;
use store::{PgPool, StoreError};
use uuid::Uuid;

use super::order::{EffectiveArgs, OrderArgs};
use super::question::{self, Question};
use super::view::MemberView;
use crate::actions::Audited;
use crate::connection::DatabaseArgs;
use crate::output;

/// Whose split changes, and to what.
#[derive(Debug, clap::Args)]
pub(crate) struct SplitArgs {
    /// The member, by id or external id
    member: String,

    #[command(flatten)]
    shares: SharesArgs,

    #[command(flatten)]
    effective: EffectiveArgs,

    #[command(flatten)]
    order: OrderArgs,
}

/// The new shares: what is not given stays as it is.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct SharesArgs {
    /// Percentages of the money that the member keeps and that the seller gets
    #[arg(long, value_name = "SELF/REFERRAL")]
    monetary: Option<Shares>,

    /// The same of career points
    #[arg(long, value_name = "SELF/REFERRAL")]
    career_points: Option<Shares>,
}

/// Who gets which share, in percent; together 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Shares {
    to_self: Percentage,
    to_referral: Percentage,
}

impl Shares {
    /// The shares of which the member keeps so much.
    pub(super) fn of(to_self: Percentage) -> Self {
        Self { to_self, to_referral: to_self.rest() }
    }
}

impl FromStr for Shares {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (to_self, to_referral) =
            text.split_once('/').ok_or("write what is kept and what is given: 70/30")?;
        let percentage = |part: &str| {
            Percentage::parse(part.trim()).map_err(|error| format!("{part:?} {error}"))
        };
        let to_self = share_to_self(percentage(to_self)?, percentage(to_referral)?);
        Ok(Self::of(to_self.map_err(|error| error.to_string())?))
    }
}

/// As it is typed.
impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |share: Percentage| share.to_decimal().normalize();
        write!(f, "{}/{}", short(self.to_self), short(self.to_referral))
    }
}

/// A split, with the field names of the HTTP API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct SplitView {
    monetary: Shares,
    career_points: Shares,
}

impl From<RewardSplit> for SplitView {
    fn from(split: RewardSplit) -> Self {
        Self {
            monetary: Shares::of(split.money_to_self),
            career_points: Shares::of(split.points_to_self),
        }
    }
}

impl fmt::Display for SplitView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "money {}, career points {}", self.monetary, self.career_points)
    }
}

/// What was changed, or would be.
#[derive(Debug, Serialize)]
struct SplitAnswer {
    /// Whether it was written; `false`: a dry run.
    changed: bool,
    member_id: Uuid,
    old: SplitView,
    new: SplitView,
    effective_at: String,
    /// When a later change that is recorded takes over.
    holds_until: Option<String>,
}

pub(super) async fn run(args: &SplitArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let audited = args.order.audited("member.split");
    audited.seeks_a_member();
    audited.watch(&pool, carry_out(args, &pool, &audited)).await
}

async fn carry_out(args: &SplitArgs, pool: &PgPool, audited: &Audited) -> anyhow::Result<ExitCode> {
    let (order, shares) = (&args.order, &args.shares);
    let mut conn = pool.acquire().await.map_err(StoreError::from)?;
    let question = Question::read(&mut conn, args.effective.effective_at).await?;
    let member_id = question::find_or_trust(&mut conn, &args.member).await?;
    audited.is_about(member_id);
    drop(conn);
    let what = What::Split {
        money_to_self: shares.monetary.map(|shares| shares.to_self),
        points_to_self: shares.career_points.map(|shares| shares.to_self),
    };
    let change = Change { member_id, effective_at: question.as_of, what };
    let applied = match order.carry_out(pool, audited, &[change]).await? {
        Ok(applied) => applied,
        Err(refusals) => {
            order.report_refusal("changed", &refusals)?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let done = applied.splits.first().context("the change was neither made nor refused")?;
    let effective_at = done.effective_at.unwrap_or(applied.now);
    let changed = SplitAnswer {
        changed: !order.dry_run,
        member_id,
        old: done.old.into(),
        new: done.new.into(),
        effective_at: calendar::rfc3339(effective_at),
        holds_until: done.holds_until.map(calendar::rfc3339),
    };
    let mut conn = pool.acquire().await.map_err(StoreError::from)?;
    let members = question.members(&mut conn, &[member_id]).await?;
    output::print(order.output.format, &changed, |changed| {
        let label = members.first().map_or_else(|| member_id.to_string(), MemberView::label);
        text(changed, &label, &calendar::moment(&question.programme, effective_at))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn text(changed: &SplitAnswer, label: &str, when: &str) -> String {
    let from_to = |old: Shares, new: Shares| {
        if old == new { format!("{old}, as before") } else { format!("{new}, was {old}") }
    };
    let mut facts = vec![
        ("money", from_to(changed.old.monetary, changed.new.monetary)),
        ("career points", from_to(changed.old.career_points, changed.new.career_points)),
        ("effective", when.to_owned()),
    ];
    if let Some(until) = &changed.holds_until {
        facts.push(("until", format!("{until}, when a later change that is recorded takes over")));
    }
    let facts = output::facts(&facts);
    if changed.changed {
        format!("Changed how {label} shares direct rewards, kept/given.\n{facts}")
    } else {
        format!(
            "Would change how {label} shares direct rewards, kept/given.\n{facts}\n\
             Nothing was changed.\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_typed_as_kept_and_given() {
        let read = |text: &str| text.parse::<Shares>().map(|shares| shares.to_string());
        assert_eq!(read("70/30"), Ok("70/30".to_owned()));
        assert_eq!(read("33.3333 / 66.6667"), Ok("33.3333/66.6667".to_owned()));
        assert_eq!(read("100/0"), Ok("100/0".to_owned()));
        for (wrong, part) in [
            ("70", "70/30"),
            ("70/40", "must sum up to 100, not 110"),
            ("120/-20", "\"120\""),
            ("70/x", "\"x\""),
            ("", "70/30"),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(part), "{wrong}: {error}");
        }
    }
}
