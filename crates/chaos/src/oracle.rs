//! The oracle: holds the raw tables against what the load has seen and what the reference model
//! computes.
//!
//! It shares no code with what it judges: its own SQL, its own arithmetic ([`crate::reference`]), its
//! own walk along the sponsors. Tables that grow with the load are read in pages, in one snapshot.

mod findings;
mod guards;
mod members;
mod queue;
mod sales;
mod settled;
mod tree;

use anyhow::Context as _;
use sqlx::{Connection as _, PgConnection};

use self::findings::Findings;
use crate::evidence::{Evidence, Finding};
use crate::reference::history::Network;

/// What is promised, as findings name it.
pub(crate) mod promise {
    pub(crate) const RECORDED: &str = "an acknowledged sale is recorded once, as it was posted";
    pub(crate) const NOTHING_ELSE: &str = "nothing is recorded that nobody posted";
    pub(crate) const DECIDED: &str = "a recorded sale is settled, waiting or dead, and one of them";
    pub(crate) const WAITING: &str = "only sales of members who are not enrolled wait or are dead";
    pub(crate) const CLAIM: &str = "an outcome and its lines stand together";
    pub(crate) const LEDGER: &str = "the ledger equals the reference model, row for row";
    pub(crate) const BREAKAGE: &str = "breakage is what was offered and not paid";
    pub(crate) const ENROLLED: &str = "an acknowledged enrolment is in members and history once";
    pub(crate) const CHANGED: &str = "an acknowledged change is in history once, with who and why";
    pub(crate) const PRESENT: &str = "members are as the last rows of their history say";
    pub(crate) const CLOSURE: &str = "the closure equals a walk along the sponsors";
    pub(crate) const DRAINED: &str = "nothing is left in the stream";
    pub(crate) const SESSIONS: &str = "no session stays idle in a transaction";
    pub(crate) const GUARDS: &str = "append-only tables are guarded";
}

/// Checks everything, after quiescence. The URLs lead to the servers themselves, past every proxy.
pub(crate) async fn check(
    database_url: &str,
    redis_url: &str,
    prefix: &str,
    evidence: &Evidence,
) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Findings::default();
    queue::check(redis_url, prefix, &mut findings).await.context("cannot ask Redis")?;
    let mut conn = PgConnection::connect(database_url).await.context("cannot ask PostgreSQL")?;
    guards::sessions(&mut conn, &mut findings).await?;
    let snapshot = "begin isolation level repeatable read, read only";
    sqlx::query(snapshot).execute(&mut conn).await?;
    books(&mut conn, evidence, &mut findings).await?;
    sqlx::query("rollback").execute(&mut conn).await?;
    conn.close().await?;
    Ok(findings.into_list())
}

/// Checks what lies in the tables, as one transaction sees it.
async fn books(
    conn: &mut PgConnection,
    evidence: &Evidence,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    guards::triggers(conn, findings).await?;
    let network = Network::read(conn).await.context("cannot read the network")?;
    members::check(conn, evidence, &network, findings).await?;
    tree::check(conn, findings).await.context("cannot check the tree")?;
    sales::check(conn, evidence, &network, findings).await?;
    settled::strays(conn, findings).await?;
    Ok(())
}

#[cfg(test)]
#[path = "oracle_tests.rs"]
mod tests;
