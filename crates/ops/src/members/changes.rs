//! `lineage members changes apply`: many changes of history in one transaction, all or none.

use std::collections::{BTreeSet, HashSet};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use domain::history::Refusals;
use domain::period::Programme;
use serde::Serialize;
use store::changes::Applied;
use store::{PgPool, StoreError, programme};
use uuid::Uuid;

use super::changes_file::{self, ChangesFile};
use super::flaws::{self, Flaw, Flaws};
use super::order::OrderArgs;
use super::rows::Meaning;
use crate::actions::Audited;
use crate::connection::DatabaseArgs;
use crate::{input, output, progress};
use domain::calendar;

/// `lineage members changes …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Apply a file of moves, statuses and ranks: all or none
    ///
    /// The file is CSV in UTF-8 with the header `id,effective_at,sponsor_id,status,rank`. Column
    /// `id` is needed, the others may be left out. An empty field means: now for `effective_at`,
    /// unchanged for the others; `none` for `sponsor_id` makes the member the top of a tree of
    /// their own. `id` and `sponsor_id` are UUIDs. `effective_at` is a time such as
    /// 2023-05-31T10:00:00Z, or a day, which begins in the programme's time zone. Each row must
    /// change something and may change several things.
    ///
    /// Rows may stand in any order: each change is checked against the tree as it will be at its
    /// moment, by what is recorded and what the file says. Changes of one moment are simultaneous,
    /// so two members may swap places. Every bad line is reported, and then nothing is applied.
    ///
    /// This is also how the history of another system comes in: import the members with their
    /// first sponsors, statuses and ranks, apply what changed since, then send the sales. A change
    /// is refused where a sale of its moment or later is settled.
    #[command(after_help = "Example:\n  \
        lineage members changes apply moves.csv --reason 'reorganisation of May' --dry-run\n  \
        zcat history.csv.gz | lineage members changes apply - --reason 'history of the old system'")]
    Apply(ApplyArgs),
}

/// What to apply, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct ApplyArgs {
    /// CSV file, or - for standard input
    file: String,

    #[command(flatten)]
    order: OrderArgs,
}

/// What a file changed, or would change.
#[derive(Debug, Serialize)]
struct Summary {
    /// Whether it was written; `false`: a dry run.
    applied: bool,
    dry_run: bool,
    rows: usize,
    moves: usize,
    /// Members who move, each counted once; their downlines move along.
    moved_members: usize,
    status_changes: usize,
    rank_changes: usize,
    /// The moments of the first and the last change.
    first_effective_at: Option<DateTime<Utc>>,
    last_effective_at: Option<DateTime<Utc>>,
    seconds: f64,
}

pub(super) async fn apply(args: &ApplyArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let name = input::name(&args.file);
    let csv = input::read_bytes(&args.file)?;
    let pool = database.connect().await?;
    let audited = args.order.audited("member.changes_apply").of_file(&csv);
    let watched = async {
        let mut flaws = Flaws::default();
        let read = read(&pool, &csv, &mut flaws).await;
        let (file, calendar) = read.with_context(|| name.to_owned())?;
        let waiting = progress::spinner(if args.order.dry_run { "checking" } else { "applying" });
        let outcome = carry_out(&pool, &audited, &file, flaws, &args.order).await;
        waiting.finish_and_clear();
        Ok((file, calendar, outcome.context("nothing was applied")?))
    };
    let (file, calendar, outcome) = audited.watch(&pool, watched).await?;
    match outcome {
        Err(flaws) => {
            audited.refuse(&pool, &flaws::summary(&flaws)).await;
            flaws::report(name, &flaws, "applied", args.order.output.format)?;
            Ok(ExitCode::FAILURE)
        }
        Ok(applied) => {
            let mut done = Summary::new(&applied, file.rows, args.order.dry_run);
            done.seconds = (begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
            output::print(args.order.output.format, &done, |done| text(done, &calendar))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn read(
    pool: &PgPool,
    csv: &[u8],
    flaws: &mut Flaws,
) -> anyhow::Result<(ChangesFile, Programme)> {
    let mut conn = pool.acquire().await.map_err(StoreError::from)?;
    let ladder = programme::ladder(&mut conn).await?;
    let calendar = programme::get(&mut conn).await?;
    let bar = progress::bar(csv.len() as u64, "reading");
    let meaning = Meaning { ladder: &ladder, programme: &calendar };
    let file = changes_file::read(csv, meaning, flaws, |bytes| bar.set_position(bytes));
    bar.finish_and_clear();
    Ok((file?, calendar))
}

/// Applies the changes, or only checks them: a dry run, or a file with flaws, whose other lines are
/// to be named too. The inner error is what is wrong with the file.
async fn carry_out(
    pool: &PgPool,
    audited: &Audited,
    file: &ChangesFile,
    mut flaws: Flaws,
    order: &OrderArgs,
) -> Result<Result<Applied, Vec<Flaw>>, StoreError> {
    let refusals = if flaws.is_empty() {
        match order.carry_out(pool, audited, &file.changes).await? {
            Ok(applied) => return Ok(Ok(applied)),
            Err(refusals) => refusals,
        }
    } else {
        order.check(pool, &file.changes).await?
    };
    add(refusals, &file.lines, &mut flaws);
    Ok(Err(flaws.in_order()))
}

/// Makes refused changes flaws of their lines. What concerns both changes of a line is said once.
fn add(refusals: Refusals, lines: &[u64], flaws: &mut Flaws) {
    let reasons: BTreeSet<(u64, String)> =
        refusals.iter().map(|(place, refusal)| (lines[*place], refusal.to_string())).collect();
    for (line, reason) in reasons {
        flaws.add(line, reason);
    }
}

impl Summary {
    fn new(applied: &Applied, rows: usize, dry_run: bool) -> Self {
        let moments = || {
            let moves = applied.moves.iter().map(|done| done.planned.effective_at);
            let states = applied.states.iter().map(|planned| planned.effective_at);
            moves.chain(states).map(|at| at.unwrap_or(applied.now))
        };
        let moved: HashSet<Uuid> =
            applied.moves.iter().map(|done| done.planned.member_id).collect();
        let states = || applied.states.iter();
        Self {
            applied: !dry_run,
            dry_run,
            rows,
            moves: applied.moves.len(),
            moved_members: moved.len(),
            status_changes: states().filter(|p| p.old.status != p.new.status).count(),
            rank_changes: states().filter(|p| p.old.rank != p.new.rank).count(),
            first_effective_at: moments().min(),
            last_effective_at: moments().max(),
            seconds: 0.0,
        }
    }
}

fn text(done: &Summary, programme: &Programme) -> String {
    let Summary { rows, moves, moved_members, status_changes, rank_changes, seconds, .. } = done;
    let verb = if done.applied { "Applied" } else { "Nothing is wrong with" };
    let mut facts = vec![
        ("moves", format!("{moves}, of {moved_members} member(s) with everybody below")),
        ("status changes", status_changes.to_string()),
        ("rank changes", rank_changes.to_string()),
    ];
    let moment = |instant: DateTime<Utc>| calendar::moment(programme, instant);
    facts.extend(done.first_effective_at.map(|instant| ("first moment", moment(instant))));
    facts.extend(done.last_effective_at.map(|instant| ("last moment", moment(instant))));
    let facts = output::facts(&facts);
    let end = if done.applied { "" } else { "Nothing was changed.\n" };
    format!("{verb} {rows} row(s), in {seconds:.1} s.\n{facts}{end}")
}
