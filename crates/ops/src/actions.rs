//! What operators do by the command line, put on record: done, refused or failed.
//!
//! A command that changes something makes an [`Audited`], does its work inside [`Audited::watch`],
//! and ends its transaction by [`Audited::commit`]. So what is done is recorded with the change
//! itself, and what is not done for whatever reason is recorded after it was rolled back. What never
//! reached the system is no action: wrong usage, a file that cannot be read, a database that cannot
//! be reached. Neither is a dry run.

mod for_whom;
mod list;
mod words;

use std::cell::{Cell, RefCell};
use std::process::ExitCode;

use clap::Subcommand;
use store::actions::{self, Action, ActionResult};
use store::{PgConnection, PgPool, PgTransaction, StoreError, database};

use crate::connection::DatabaseArgs;
use crate::failure;
use crate::output::remark;

pub(crate) use for_whom::{Because, ForWhom, Person};

/// `lineage actions …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List what operators did and tried to do, by command line and HTTP, oldest first
    ///
    /// Every action that changes or exports something is a row: who asked (an API key or a database
    /// login), for whom, what, on what, and whether it was done, refused or failed. Dry runs are no
    /// actions. Explanations, statements and lists are questions; only `ledger export` is an export.
    ///
    /// `arguments` is a SHA-256. Of a command that reads a file, it is that of the file:
    /// `sha256sum plan.yaml`. Of an HTTP request, it is that of the body as it was sent; of one that was
    /// refused for its key or its signature (`request.refused`), whose body nobody looked at, that of
    /// method, path and query: `printf 'POST /v1/events' | sha256sum`. Of any other command, it is that of the words after `lineage` as they were typed, each after its length in
    /// bytes as eight bytes, the highest first, but for the options that say where PostgreSQL and
    /// Redis are; the last example below computes it.
    #[command(after_help = "Example:\n  \
        lineage actions list --result refused --since 2026-11-01\n  \
        lineage actions list --actor key:4f0c2a9be1d3 --action member --format csv > actions.csv\n  \
        perl -e 'print pack(\"Q>\", length), $_ for @ARGV' -- \\\n    \
        plan retire spring --from 2023-06-01 --reason 'as decided' | sha256sum")]
    List(list::ListArgs),
}

pub(crate) async fn run(command: Command, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let Command::List(args) = command;
    list::run(&args, database).await
}

/// What is kept of an error before the member is found.
const NOT_UNDERSTOOD: &str =
    "a member who is not enrolled, or a value that is not known, was named";

/// An action of this command line, on its way to the record.
#[derive(Debug)]
pub(crate) struct Audited {
    action: &'static str,
    on_behalf_of: Option<String>,
    subject: RefCell<Option<String>>,
    arguments: [u8; 32],
    is_trial: bool,
    /// Whether what was typed may be a person's, because nobody was found by it so far.
    seeks_a_member: Cell<bool>,
    /// Whether the record says how it ended.
    has_ended: Cell<bool>,
}

impl Audited {
    /// An action, with the words of the command line for its arguments.
    pub(crate) fn new(action: &'static str) -> Self {
        let words = words::typed();
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        Self {
            action,
            on_behalf_of: None,
            subject: RefCell::default(),
            arguments: actions::digest(&words),
            is_trial: false,
            seeks_a_member: Cell::new(false),
            has_ended: Cell::new(false),
        }
    }

    /// With a file for its arguments.
    pub(crate) fn of_file(mut self, bytes: &[u8]) -> Self {
        self.arguments = actions::digest_of(bytes);
        self
    }

    /// For whom.
    pub(crate) fn on_behalf_of(mut self, person: Option<&str>) -> Self {
        self.on_behalf_of = person.map(str::to_owned);
        self
    }

    /// Leaves nothing on record if it is only tried.
    pub(crate) fn unless_tried(mut self, dry_run: bool) -> Self {
        self.is_trial = dry_run;
        self
    }

    /// On which plan, member, event or key; what was said last counts.
    pub(crate) fn is_about(&self, subject: impl ToString) {
        *self.subject.borrow_mut() = Some(subject.to_string());
        self.seeks_a_member.set(false);
    }

    /// On a member who is still to be found. Until [`Self::is_about`] says who it is, the record keeps
    /// no text of an error, which repeats what was typed: an external id is personal data, and the
    /// record can never be erased.
    pub(crate) fn seeks_a_member(&self) {
        self.seeks_a_member.set(true);
    }

    /// Does the work of the action and records it if it comes to an error. The work holds no
    /// connection when it has ended.
    pub(crate) async fn watch<T>(
        &self,
        pool: &PgPool,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let done = work.await;
        if let Err(error) = &done {
            let why = if self.seeks_a_member.get() {
                NOT_UNDERSTOOD.to_owned()
            } else {
                failure::message(error)
            };
            self.end(pool, result_of(error), &why).await;
        }
        done
    }

    /// Commits what was done, and that it was, by whom and for whom.
    pub(crate) async fn commit(
        &self,
        mut tx: PgTransaction<'_>,
        detail: &str,
    ) -> Result<(), StoreError> {
        self.record(&mut tx, ActionResult::Done, detail).await?;
        tx.commit().await?;
        self.has_ended.set(true);
        Ok(())
    }

    /// Commits that it was refused, with whatever else the refusal leaves.
    pub(crate) async fn commit_refusal(
        &self,
        mut tx: PgTransaction<'_>,
        why: &str,
    ) -> Result<(), StoreError> {
        self.record(&mut tx, ActionResult::Refused, why).await?;
        tx.commit().await?;
        self.has_ended.set(true);
        Ok(())
    }

    /// Records that it was refused, in a transaction of its own. The caller holds no connection.
    pub(crate) async fn refuse(&self, pool: &PgPool, why: &str) {
        self.end(pool, ActionResult::Refused, why).await;
    }

    /// Records how it ended, once. What cannot be recorded is said: there is nobody else to tell.
    async fn end(&self, pool: &PgPool, result: ActionResult, detail: &str) {
        if self.is_trial || self.has_ended.replace(true) {
            return;
        }
        let recorded = async {
            let mut conn = pool.acquire().await?;
            self.record(&mut conn, result, detail).await
        };
        if let Err(error) = recorded.await {
            remark(&format!(
                "warning: that {} {} is not on record ({error})",
                self.action,
                result.name()
            ));
        }
    }

    async fn record(
        &self,
        conn: &mut PgConnection,
        result: ActionResult,
        detail: &str,
    ) -> Result<(), StoreError> {
        let actor = actor(conn).await?;
        let subject = self.subject.borrow().clone();
        let action = Action {
            actor: &actor,
            on_behalf_of: self.on_behalf_of.as_deref(),
            action: self.action,
            subject: subject.as_deref(),
            arguments: self.arguments,
            result,
            detail: Some(detail),
        };
        actions::record(conn, &action).await
    }
}

/// Who acts by the command line: the login, whatever role it assumed.
pub(crate) async fn actor(conn: &mut PgConnection) -> Result<String, StoreError> {
    Ok(format!("role:{}", database::session_user(conn).await?))
}

/// Whether an error is a refusal. What PostgreSQL or the machine could not do has failed; everything
/// else that a command says is a rule that forbids what was asked for.
fn result_of(error: &anyhow::Error) -> ActionResult {
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<StoreError>() {
            return error.into();
        }
        if cause.is::<std::io::Error>() {
            return ActionResult::Failed;
        }
    }
    ActionResult::Refused
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn what_a_rule_forbids_is_refused_and_what_cannot_be_done_has_failed() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let full = Err::<(), _>(full).context("cannot write may.csv").unwrap_err();
        let locked = anyhow::Error::new(StoreError::Locked("tree")).context("nothing was applied");
        for (error, result) in [
            (anyhow!("plans overlap"), ActionResult::Refused),
            (anyhow!("plans overlap").context("plan.yaml"), ActionResult::Refused),
            (full, ActionResult::Failed),
            (locked, ActionResult::Failed),
        ] {
            assert_eq!(result_of(&error), result, "{error:?}");
        }
    }
}
