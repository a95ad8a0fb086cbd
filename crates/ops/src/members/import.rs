//! `lineage members import`: everything or nothing, in one transaction.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, bail};
use indicatif::ProgressBar;
use serde::Serialize;
use store::{PgPool, StoreError, failures, import, programme};
use uuid::Uuid;

use super::ImportArgs;
use super::check::{self, Checked};
use super::file::{self, MemberFile};
use super::flaws::{self, Flaw, Flaws};
use super::rows::Meaning;
use crate::actions::{self, Audited};
use crate::connection::DatabaseArgs;
use crate::output;
use crate::{input, progress};

/// Tables that get one row or more for each member.
const TABLES: u64 = 4;

/// What an import did.
#[derive(Clone, Debug, Serialize)]
struct Summary {
    /// Whether it was written; `false`: a dry run.
    imported: bool,
    members: usize,
    /// Members without a sponsor.
    roots: usize,
    /// How far below its root the deepest member stands.
    deepest_level: usize,
    /// Sales that had waited for these members.
    revived_events: usize,
    seconds: f64,
}

pub(super) async fn run(args: &ImportArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let name = input::name(&args.file);
    let csv = input::read_bytes(&args.file)?;
    let pool = database.connect().await?;
    let audited = Audited::new("member.import").of_file(&csv).unless_tried(args.dry_run);
    let watched = carry_out(args, &csv, &pool, &audited);
    let (file, outcome) = audited.watch(&pool, watched).await?;
    drop(csv);
    match outcome {
        Err(flaws) => {
            audited.refuse(&pool, &flaws::summary(&flaws)).await;
            flaws::report(name, &flaws, "imported", args.output.format)?;
            Ok(ExitCode::FAILURE)
        }
        Ok((checked, revived)) => {
            args.bell.ring(&revived).await;
            let done = Summary {
                imported: !args.dry_run,
                members: file.members.len(),
                roots: checked.roots,
                deepest_level: checked.deepest,
                revived_events: revived.len(),
                seconds: (begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
            };
            output::print(args.output.format, &done, summary)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What came of an import; the inner error is what is wrong with the file.
type Outcome = Result<(Checked, Vec<Uuid>), Vec<Flaw>>;

/// Reads the file, checks it against itself and the network, and writes it.
async fn carry_out(
    args: &ImportArgs,
    csv: &[u8],
    pool: &PgPool,
    audited: &Audited,
) -> anyhow::Result<(MemberFile, Outcome)> {
    let mut flaws = Flaws::default();
    let file = {
        let mut conn = pool.acquire().await.map_err(StoreError::from)?;
        let ladder = programme::ladder(&mut conn).await?;
        let calendar = programme::get(&mut conn).await?;
        let meaning = Meaning { ladder: &ladder, programme: &calendar };
        let bar = progress::bar(csv.len() as u64, "reading");
        let read = file::read(csv, meaning, &mut flaws, |bytes| bar.set_position(bytes));
        bar.finish_and_clear();
        read.with_context(|| input::name(&args.file).to_owned())?
    };
    let outcome = write(pool, audited, &file, flaws, args.dry_run).await?;
    Ok((file, outcome))
}

/// Checks and writes in one transaction. The inner error is what is wrong with the file.
async fn write(
    pool: &PgPool,
    audited: &Audited,
    file: &MemberFile,
    mut flaws: Flaws,
    dry_run: bool,
) -> anyhow::Result<Outcome> {
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    import::begin(&mut tx).await?;
    let waiting = progress::spinner("checking against who is enrolled");
    let checked = check::check(&mut tx, file, &mut flaws).await;
    waiting.finish_and_clear();
    let Some(checked) = checked?.filter(|_| flaws.is_empty()) else {
        return Ok(Err(flaws.in_order()));
    };
    if dry_run {
        return Ok(Ok((checked, Vec::new())));
    }
    let actor = actions::actor(&mut tx).await?;
    let total = TABLES * file.members.len() as u64;
    let bar = progress::bar(total, "writing");
    let Checked { arrangement, uplines_above, .. } = &checked;
    let rows = |rows| bar.inc(rows);
    let written =
        import::write(&mut tx, &file.members, arrangement, uplines_above, &actor, rows).await;
    finish(&bar, written)?;
    let revived = failures::revive_all_enrolled(&mut tx).await?;
    audited.commit(tx, &format!("{} member(s)", file.members.len())).await?;
    Ok(Ok((checked, revived)))
}

/// Somebody may be enrolled by the API between the check and the writing; the database refuses
/// the second one, and with it the whole import.
fn finish(bar: &ProgressBar, written: Result<(), StoreError>) -> anyhow::Result<()> {
    bar.finish_and_clear();
    let Err(error) = written else { return Ok(()) };
    if matches!(error.constraint(), Some("members_pkey" | "members_external_id_key")) {
        bail!(
            "nothing was imported: somebody else enrolled a member of the file meanwhile; run the \
             import again to see which"
        );
    }
    Err(anyhow::Error::new(error).context("nothing was imported"))
}

fn summary(done: &Summary) -> String {
    let Summary { members, roots, deepest_level, revived_events, seconds, .. } = done;
    let verb = if done.imported { "Imported" } else { "Nothing is wrong with" };
    let done = format!(
        "{verb} {members} member(s), {roots} of them without a sponsor,\n\
         the deepest {deepest_level} level(s) down, in {seconds:.1} s."
    );
    match revived_events {
        0 => done,
        _ => format!("{done}\n{revived_events} sale(s) that had waited are due now."),
    }
}
