//! Asking for a change of history: who asks, why, and whether to make it or only to try.

use domain::history::{Change, Refusal, Refusals};
use serde_json::{Map, json};
use store::changes::{self, Applied, Order};
use store::{PgPool, StoreError};

use super::moment::Moment;
use crate::actions::{self, Audited, Because};
use crate::output::{self, Format, FormatArgs, remark};

/// Why, for whom, and whether at all.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct OrderArgs {
    #[command(flatten)]
    because: Because,

    /// Check everything, show what would change, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) output: FormatArgs,
}

/// From when on a single change holds.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct EffectiveArgs {
    /// From when on: a time such as 2023-05-31T10:00:00Z, or the beginning of a day; not before a
    /// sale that is settled [default: now]
    #[arg(long, value_name = "WHEN")]
    pub(crate) effective_at: Option<Moment>,
}

impl OrderArgs {
    /// The action that is to be put on record.
    pub(crate) fn audited(&self, action: &'static str) -> Audited {
        let audited = Audited::new(action).on_behalf_of(self.because.person.name());
        audited.unless_tried(self.dry_run)
    }

    /// Makes the changes, or only tries them. A refusal leaves its record, unless it is a dry run.
    pub(crate) async fn carry_out(
        &self,
        pool: &PgPool,
        audited: &Audited,
        changes: &[Change],
    ) -> Result<Result<Applied, Refusals>, StoreError> {
        let mut tx = pool.begin().await?;
        if self.dry_run {
            let outcome = changes::preview(&mut tx, changes).await?;
            tx.rollback().await?;
            return Ok(outcome);
        }
        let actor = actions::actor(&mut tx).await?;
        let outcome = changes::apply(&mut tx, &self.order(changes, &actor)).await?;
        match &outcome {
            Ok(_) => audited.commit(tx, &self.because.reason).await?,
            Err(refusals) => audited.commit_refusal(tx, &cause(refusals)).await?,
        }
        Ok(outcome)
    }

    /// Checks changes that cannot be made for another reason. A refusal leaves its record here too.
    pub(crate) async fn check(
        &self,
        pool: &PgPool,
        changes: &[Change],
    ) -> Result<Refusals, StoreError> {
        let mut tx = pool.begin().await?;
        if self.dry_run {
            return Ok(changes::preview(&mut tx, changes).await?.err().unwrap_or_default());
        }
        let actor = actions::actor(&mut tx).await?;
        let refusals = changes::check(&mut tx, &self.order(changes, &actor)).await?;
        tx.commit().await?;
        Ok(refusals)
    }

    fn order<'a>(&'a self, changes: &'a [Change], actor: &'a str) -> Order<'a> {
        let Because { reason, person } = &self.because;
        Order { changes, actor, on_behalf_of: person.name(), reason }
    }

    /// Says why a single change is refused: for programs on stdout, for people on stderr. `what`
    /// was not done because of it, such as `moved`.
    pub(crate) fn report_refusal(
        &self,
        what: &'static str,
        refusals: &[(usize, Refusal)],
    ) -> anyhow::Result<()> {
        let Some((_, refusal)) = refusals.first() else { return Ok(()) };
        let (cause, reason) = (refusal.cause(), refusal.to_string());
        if self.output.format == Format::Json {
            let refusal = json!({"cause": cause, "reason": reason});
            let value = [(what.to_owned(), json!(false)), ("refusal".to_owned(), refusal)];
            output::print(Format::Json, &Map::from_iter(value), |_| String::new())?;
        }
        remark(&format!("error: not {what} ({cause}): {reason}"));
        Ok(())
    }
}

/// The first refusal, as the record tells it.
fn cause(refusals: &[(usize, Refusal)]) -> String {
    let first = refusals.first().map(|(_, refusal)| format!("{}: {refusal}", refusal.cause()));
    first.unwrap_or_default()
}
