//! `lineage members set`: a member's status or rank from a moment on.

use std::process::ExitCode;

use anyhow::Context as _;
use domain::history::{Change, What};
use domain::member::MemberStatus;
use serde::Serialize;
use store::{PgPool, StoreError};
use uuid::Uuid;

use super::order::{EffectiveArgs, OrderArgs};
use super::question::{self, Question};
use super::view::MemberView;
use crate::actions::Audited;
use crate::connection::DatabaseArgs;
use crate::output;
use domain::calendar;

/// Whose state changes, and to what.
#[derive(Debug, clap::Args)]
pub(crate) struct SetArgs {
    /// The member, by id or external id
    member: String,

    #[command(flatten)]
    state: StateArgs,

    #[command(flatten)]
    effective: EffectiveArgs,

    #[command(flatten)]
    order: OrderArgs,
}

/// The new state: what is not given stays as it is.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct StateArgs {
    /// ACTIVE, INACTIVE, SUSPENDED or TERMINATED
    #[arg(long)]
    status: Option<MemberStatus>,

    /// A rank of the ladder
    #[arg(long)]
    rank: Option<String>,
}

/// What was changed, or would be.
#[derive(Debug, Serialize)]
struct SetAnswer {
    /// Whether it was written; `false`: a dry run.
    changed: bool,
    member_id: Uuid,
    old_status: MemberStatus,
    new_status: MemberStatus,
    old_rank: String,
    new_rank: String,
    effective_at: String,
    /// When a later change that is recorded takes over.
    holds_until: Option<String>,
}

pub(super) async fn run(args: &SetArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let audited = args.order.audited("member.change");
    audited.seeks_a_member();
    audited.watch(&pool, carry_out(args, &pool, &audited)).await
}

async fn carry_out(args: &SetArgs, pool: &PgPool, audited: &Audited) -> anyhow::Result<ExitCode> {
    let order = &args.order;
    let mut conn = pool.acquire().await.map_err(StoreError::from)?;
    let question = Question::read(&mut conn, args.effective.effective_at).await?;
    let ladder = &question.ladder;
    let rank = args.state.rank.as_ref().map(|name| ladder.rank(name)).transpose()?;
    let member_id = question::find_or_trust(&mut conn, &args.member).await?;
    audited.is_about(member_id);
    drop(conn);
    let what = What::State { status: args.state.status, rank };
    let change = Change { member_id, effective_at: question.as_of, what };
    let applied = match order.carry_out(pool, audited, &[change]).await? {
        Ok(applied) => applied,
        Err(refusals) => {
            order.report_refusal("changed", &refusals)?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let done = applied.states.first().context("the change was neither made nor refused")?;
    let effective_at = done.effective_at.unwrap_or(applied.now);
    let changed = SetAnswer {
        changed: !order.dry_run,
        member_id,
        old_status: done.old.status,
        new_status: done.new.status,
        old_rank: ladder.name(done.old.rank),
        new_rank: ladder.name(done.new.rank),
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

fn text(changed: &SetAnswer, label: &str, when: &str) -> String {
    let from_to = |old: &str, new: &str| {
        if old == new { format!("{old}, as before") } else { format!("{new}, was {old}") }
    };
    let status = from_to(changed.old_status.name(), changed.new_status.name());
    let mut facts = vec![
        ("status", status),
        ("rank", from_to(&changed.old_rank, &changed.new_rank)),
        ("effective", when.to_owned()),
    ];
    if let Some(until) = &changed.holds_until {
        facts.push(("until", format!("{until}, when a later change that is recorded takes over")));
    }
    let facts = output::facts(&facts);
    if changed.changed {
        format!("Changed {label}.\n{facts}")
    } else {
        format!("Would change {label}.\n{facts}\nNothing was changed.\n")
    }
}
