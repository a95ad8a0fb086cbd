//! `lineage members move`: a member and everybody below get another upline.

use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use domain::history::{Change, LevelChange, PlannedMove, What};
use serde::Serialize;
use store::changes::AppliedMove;
use store::{PgConnection, PgPool, StoreError, tree};
use uuid::Uuid;

use super::order::{EffectiveArgs, OrderArgs};
use super::question::{self, Question};
use super::view::MemberView;
use crate::actions::Audited;
use crate::connection::DatabaseArgs;
use crate::output;
use domain::calendar;

/// Who moves where.
#[derive(Debug, clap::Args)]
pub(crate) struct MoveArgs {
    /// The member who moves, by id or external id
    member: String,

    #[command(flatten)]
    destination: Destination,

    #[command(flatten)]
    effective: EffectiveArgs,

    #[command(flatten)]
    order: OrderArgs,
}

/// Where to: exactly one of the three.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Destination {
    /// The new sponsor, by id or external id
    #[arg(value_name = "NEW_SPONSOR")]
    sponsor: Option<String>,

    /// The new sponsor, by id or external id, where an option is clearer
    #[arg(long, value_name = "ID")]
    new_sponsor: Option<String>,

    /// No sponsor: the member becomes the top of a tree of their own
    #[arg(long)]
    top: bool,
}

/// What a move did, or would do.
#[derive(Debug, Serialize)]
struct MoveAnswer {
    /// Whether it was written; `false`: a dry run.
    moved: bool,
    dry_run: bool,
    member_id: Uuid,
    old_sponsor_id: Option<Uuid>,
    new_sponsor_id: Option<Uuid>,
    effective_at: String,
    /// When a later move that is recorded takes over.
    holds_until: Option<String>,
    /// The member and everybody below, at present.
    subtree_size: i64,
    /// Who is above before and after; of a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    level_changes: Option<Vec<UplineChange>>,
    /// The command that would undo it.
    #[serde(skip_serializing_if = "Option::is_none")]
    undo: Option<String>,
}

/// How one member above is concerned.
#[derive(Debug, Serialize)]
struct UplineChange {
    #[serde(skip)]
    label: String,
    member_id: Uuid,
    external_id: Option<String>,
    name: Option<String>,
    level_before: Option<usize>,
    level_after: Option<usize>,
    change: &'static str,
}

pub(super) async fn run(args: &MoveArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let audited = args.order.audited("member.move");
    audited.seeks_a_member();
    audited.watch(&pool, carry_out(args, &pool, &audited)).await
}

async fn carry_out(args: &MoveArgs, pool: &PgPool, audited: &Audited) -> anyhow::Result<ExitCode> {
    let (order, destination) = (&args.order, &args.destination);
    let mut conn = pool.acquire().await.map_err(StoreError::from)?;
    let question = Question::read(&mut conn, args.effective.effective_at).await?;
    let member_id = question::find_or_trust(&mut conn, &args.member).await?;
    audited.is_about(member_id);
    let new_sponsor_id = match destination.sponsor.as_ref().or(destination.new_sponsor.as_ref()) {
        Some(name) => Some(question::find_or_trust(&mut conn, name).await?),
        None => None,
    };
    drop(conn);
    let what = What::Move { new_sponsor_id };
    let change = Change { member_id, effective_at: question.as_of, what };
    let applied = match order.carry_out(pool, audited, &[change]).await? {
        Ok(applied) => applied,
        Err(refusals) => {
            order.report_refusal("moved", &refusals)?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let done = applied.moves.first().context("the move was neither made nor refused")?;
    let effective_at = done.planned.effective_at.unwrap_or(applied.now);
    let mut moved = MoveAnswer::new(done, effective_at, order.dry_run);
    let mut conn = pool.acquire().await.map_err(StoreError::from)?;
    if order.dry_run {
        moved.level_changes = Some(upline_changes(&mut conn, &question, &moved).await?);
    } else {
        moved.undo = Some(undo(&done.planned, effective_at));
    }
    let ids = [Some(moved.member_id), moved.old_sponsor_id, moved.new_sponsor_id];
    let ids: Vec<Uuid> = ids.into_iter().flatten().collect();
    let members = question.members(&mut conn, &ids).await?;
    output::print(order.output.format, &moved, |moved| {
        let when = calendar::moment(&question.programme, effective_at);
        text(moved, &members, &when)
    })?;
    Ok(ExitCode::SUCCESS)
}

impl MoveAnswer {
    fn new(done: &AppliedMove, effective_at: DateTime<Utc>, dry_run: bool) -> Self {
        let PlannedMove { member_id, old_sponsor_id, new_sponsor_id, holds_until, .. } =
            done.planned;
        Self {
            moved: !dry_run,
            dry_run,
            member_id,
            old_sponsor_id,
            new_sponsor_id,
            effective_at: calendar::rfc3339(effective_at),
            holds_until: holds_until.map(calendar::rfc3339),
            subtree_size: done.subtree_size,
            level_changes: None,
            undo: None,
        }
    }
}

/// Compares who is above the member just before the move with who is above just after it.
async fn upline_changes(
    conn: &mut PgConnection,
    question: &Question,
    moved: &MoveAnswer,
) -> Result<Vec<UplineChange>, StoreError> {
    let MoveAnswer { member_id, new_sponsor_id, .. } = *moved;
    let changes = tree::level_changes(conn, member_id, new_sponsor_id, question.as_of).await?;
    let ids: Vec<Uuid> = changes.iter().map(|change| change.ancestor_id).collect();
    let members = question.members(conn, &ids).await?;
    Ok(members.into_iter().zip(changes).map(|(member, change)| change_of(member, change)).collect())
}

fn change_of(member: MemberView, change: LevelChange) -> UplineChange {
    let LevelChange { before, after, .. } = change;
    let kind = match (before, after) {
        (None, _) => "gained",
        (_, None) => "lost",
        _ => "kept",
    };
    UplineChange {
        label: member.label(),
        member_id: member.id,
        external_id: member.external_id,
        name: member.name,
        level_before: before,
        level_after: after,
        change: kind,
    }
}

/// The command that puts the member back. A move that holds from a moment of the past, or until a
/// later one takes over, is undone from just after its own moment on: history has one row a moment.
fn undo(planned: &PlannedMove, effective_at: DateTime<Utc>) -> String {
    let sponsor = planned.old_sponsor_id.map_or("--top".to_owned(), |id| id.to_string());
    let command = format!("lineage members move {} {sponsor}", planned.member_id);
    let moment = calendar::rfc3339(effective_at);
    let reason = format!("--reason 'undo the move of {moment}'");
    if planned.effective_at.is_none() {
        return format!("{command} {reason}");
    }
    let after = calendar::rfc3339(effective_at + TimeDelta::microseconds(1));
    format!("{command} {reason} --effective-at {after}")
}

fn text(moved: &MoveAnswer, members: &[MemberView], when: &str) -> String {
    let member = |id: Uuid| members.iter().find(|member| member.id == id);
    let who = |id: Uuid| member(id).map_or_else(|| id.to_string(), MemberView::who);
    let sponsor = |id: Option<Uuid>| id.map_or_else(|| "none".to_owned(), who);
    let mut facts = vec![
        ("member", who(moved.member_id)),
        ("old sponsor", sponsor(moved.old_sponsor_id)),
        ("new sponsor", sponsor(moved.new_sponsor_id)),
        ("effective", when.to_owned()),
    ];
    if let Some(until) = &moved.holds_until {
        facts.push(("until", format!("{until}, when a later move that is recorded takes over")));
    }
    let size = moved.subtree_size;
    facts.push(("moving along", format!("{size} member(s), with the member and everybody below")));
    let facts = output::facts(&facts);
    let verb = if moved.moved { "Moved" } else { "Would move" };
    let mut text = format!(
        "{verb} {}.\n{facts}",
        member(moved.member_id).map(MemberView::label).unwrap_or_default()
    );
    if let Some(changes) = &moved.level_changes {
        text.push_str("\nWho is above:\n");
        text.push_str(&table(changes));
        text.push_str("\nNothing was changed.\n");
    }
    if let Some(undo) = &moved.undo {
        text.push_str("\nTo undo it: ");
        text.push_str(undo);
    }
    text
}

fn table(changes: &[UplineChange]) -> String {
    let level = |level: Option<usize>| level.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let rows = changes.iter().map(|change| {
        let (before, after) = (level(change.level_before), level(change.level_after));
        vec![change.label.clone(), before, after, change.change.to_owned()]
    });
    output::table(&["MEMBER", "LEVEL BEFORE", "LEVEL AFTER", ""], &[1, 2], rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(effective_at: Option<&str>, old: Option<u128>) -> PlannedMove {
        PlannedMove {
            member_id: Uuid::from_u128(3),
            effective_at: effective_at.map(|at| at.parse().unwrap()),
            old_sponsor_id: old.map(Uuid::from_u128),
            new_sponsor_id: Some(Uuid::from_u128(2)),
            holds_until: None,
        }
    }

    #[test]
    fn undo_is_a_move_back() {
        let now = "2026-11-03T10:15:00Z".parse().unwrap();
        assert_eq!(
            undo(&planned(None, Some(1)), now),
            "lineage members move 00000000-0000-0000-0000-000000000003 \
             00000000-0000-0000-0000-000000000001 --reason 'undo the move of 2026-11-03T10:15:00Z'"
        );
        assert!(undo(&planned(None, None), now).contains("0003 --top --reason"));
    }

    #[test]
    fn a_move_of_the_past_is_undone_just_after_its_moment() {
        let at = "2026-02-03T10:15:00Z";
        let command = undo(&planned(Some(at), Some(1)), at.parse().unwrap());
        assert!(command.ends_with("--effective-at 2026-02-03T10:15:00.000001Z"), "{command}");
    }
}
