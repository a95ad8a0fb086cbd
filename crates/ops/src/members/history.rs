//! `lineage members history`: everything that was done to a member, by whom and why.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use domain::amount::Percentage;
use domain::ladder::Ladder;
use domain::period::Programme;
use serde::Serialize;
use store::changes::{self, RecordedChange};
use store::tree;
use uuid::Uuid;

use super::question::{self, Question};
use super::splitting::Shares;
use super::view::plain;
use crate::connection::DatabaseArgs;
use crate::output::{self, FormatArgs};
use domain::calendar;

/// Whose history.
#[derive(Debug, clap::Args)]
pub(crate) struct HistoryArgs {
    /// The member, by id or external id
    id: String,

    #[command(flatten)]
    output: FormatArgs,
}

#[derive(Debug, Serialize)]
struct History {
    member_id: Uuid,
    history: Vec<RecordedView>,
}

/// One recorded change.
#[derive(Debug, Serialize)]
struct RecordedView {
    recorded_at: DateTime<Utc>,
    /// `null`: from the beginning of time, or refused before that was decided.
    effective_at: Option<DateTime<Utc>>,
    kind: String,
    refusal: Option<String>,
    old_sponsor_id: Option<Uuid>,
    new_sponsor_id: Option<Uuid>,
    old_status: Option<String>,
    new_status: Option<String>,
    old_rank: Option<String>,
    new_rank: Option<String>,
    old_money_to_self: Option<Percentage>,
    new_money_to_self: Option<Percentage>,
    old_points_to_self: Option<Percentage>,
    new_points_to_self: Option<Percentage>,
    subtree_size: Option<i32>,
    actor: String,
    on_behalf_of: Option<String>,
    reason: String,
}

pub(super) async fn run(args: &HistoryArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let mut tx = tree::begin(&pool).await?;
    let Question { ladder, programme, .. } = Question::read(&mut tx, None).await?;
    let member_id = question::find(&mut tx, &args.id).await?;
    let recorded = changes::recorded_changes(&mut tx, member_id, -1, i64::MAX).await?;
    let history = recorded.into_iter().map(|change| RecordedView::new(change, &ladder)).collect();
    output::print(args.output.format, &History { member_id, history }, |answer| {
        let rows = answer.history.iter().map(|change| change.row(&programme)).collect();
        output::table(&["RECORDED", "HOLDS FROM", "WHAT", "BY", "FOR", "WHY", "REFUSED"], &[], rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

impl RecordedView {
    fn new(change: RecordedChange, ladder: &Ladder) -> Self {
        Self {
            recorded_at: change.recorded_at,
            effective_at: change.effective_at,
            kind: change.kind,
            refusal: change.refusal,
            old_sponsor_id: change.sponsors.0,
            new_sponsor_id: change.sponsors.1,
            old_status: change.statuses.0,
            new_status: change.statuses.1,
            old_rank: change.ranks.0.map(|rank| ladder.name(rank)),
            new_rank: change.ranks.1.map(|rank| ladder.name(rank)),
            old_money_to_self: change.money_to_self.0,
            new_money_to_self: change.money_to_self.1,
            old_points_to_self: change.points_to_self.0,
            new_points_to_self: change.points_to_self.1,
            subtree_size: change.subtree_size,
            actor: change.actor,
            on_behalf_of: change.on_behalf_of,
            reason: change.reason,
        }
    }

    fn row(&self, programme: &Programme) -> Vec<String> {
        let holds_from = match (self.effective_at, &self.refusal) {
            (Some(instant), _) => calendar::moment(programme, instant),
            (None, None) => "the beginning".to_owned(),
            (None, Some(_)) => String::new(),
        };
        vec![
            calendar::moment(programme, self.recorded_at),
            holds_from,
            self.what(),
            plain(&self.actor),
            self.on_behalf_of.as_deref().map(plain).unwrap_or_default(),
            plain(&self.reason),
            self.refusal.clone().unwrap_or_default(),
        ]
    }

    /// What changed, in words.
    fn what(&self) -> String {
        let sponsor = |id: Option<Uuid>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
        let mut parts = Vec::new();
        let new = format!("sponsor {}", sponsor(self.new_sponsor_id));
        match self.kind.as_str() {
            "MOVE" => parts.push(format!("{new}, was {}", sponsor(self.old_sponsor_id))),
            "ENROLMENT" => parts.push(format!("enrolled, {new}")),
            _ => {}
        }
        let states = [(&self.old_status, &self.new_status), (&self.old_rank, &self.new_rank)];
        for (old, new) in states {
            match (old, new) {
                (Some(old), Some(new)) if old != new => parts.push(format!("{new}, was {old}")),
                (None, Some(new)) => parts.push(new.clone()),
                _ => {}
            }
        }
        let shares = [
            ("money", self.old_money_to_self, self.new_money_to_self),
            ("career points", self.old_points_to_self, self.new_points_to_self),
        ];
        for (what, old, new) in shares {
            match (old.map(Shares::of), new.map(Shares::of)) {
                (Some(old), Some(new)) if old != new => {
                    parts.push(format!("{what} shared {new}, was {old}"));
                }
                (None, Some(new)) => parts.push(format!("{what} shared {new}")),
                _ => {}
            }
        }
        parts.join("; ")
    }
}
