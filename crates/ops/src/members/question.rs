//! What every question about the tree needs: the moment that it is about, and what ranks and days
//! are called.

use anyhow::bail;
use chrono::{DateTime, Utc};
use domain::ladder::Ladder;
use domain::period::Programme;
use store::tree::{self, Place};
use store::{PgConnection, StoreError, programme};
use uuid::Uuid;

use super::flaws::quote;
use super::moment::Moment;
use super::view::{MemberView, PlacedMember};
use crate::output::FormatArgs;
use domain::calendar;

/// When, and how to say it.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct AskArgs {
    /// As it stood at a time such as 2023-05-31T10:00:00Z, or when a day began [default: now]
    #[arg(long, value_name = "WHEN")]
    pub(crate) as_of: Option<Moment>,

    #[command(flatten)]
    pub(crate) output: FormatArgs,
}

/// The moment and the names.
#[derive(Debug)]
pub(crate) struct Question {
    /// The ranks there are.
    pub(crate) ladder: Ladder,
    /// In which time zone days begin.
    pub(crate) programme: Programme,
    /// `None`: the present.
    pub(crate) as_of: Option<DateTime<Utc>>,
}

impl Question {
    /// Reads what the answer needs.
    pub(crate) async fn read(
        conn: &mut PgConnection,
        as_of: Option<Moment>,
    ) -> Result<Self, StoreError> {
        let ladder = programme::ladder(conn).await?;
        let programme = programme::get(conn).await?;
        let as_of = as_of.map(|moment| moment.instant(&programme));
        Ok(Self { ladder, programme, as_of })
    }

    /// Members in the order of the ids. An error when somebody is unknown: callers put what they know
    /// of each beside them.
    pub(crate) async fn members(
        &self,
        conn: &mut PgConnection,
        ids: &[Uuid],
    ) -> Result<Vec<MemberView>, StoreError> {
        let members = tree::members(conn, ids, self.as_of).await?;
        if members.len() != ids.len() {
            let damage = "somebody stands in the tree who is not enrolled; run `lineage verify`";
            return Err(StoreError::Damaged(damage.to_owned()));
        }
        Ok(members.into_iter().map(|member| MemberView::new(member, &self.ladder)).collect())
    }

    /// The members who stand in these places.
    pub(crate) async fn placed(
        &self,
        conn: &mut PgConnection,
        places: &[Place],
    ) -> Result<Vec<PlacedMember>, StoreError> {
        let ids: Vec<Uuid> = places.iter().map(|place| place.member_id).collect();
        let members = self.members(conn, &ids).await?.into_iter();
        let standing = places.iter().zip(members);
        Ok(standing.map(|(place, member)| PlacedMember { level: place.level, member }).collect())
    }

    /// ` as of …`, for sentences; nothing for the present.
    pub(crate) fn when(&self) -> String {
        let as_of = |instant| format!(" as of {}", calendar::beginning(&self.programme, instant));
        self.as_of.map(as_of).unwrap_or_default()
    }
}

/// The member of an id or an external id.
pub(crate) async fn find(conn: &mut PgConnection, name: &str) -> anyhow::Result<Uuid> {
    match tree::resolve(conn, name).await? {
        Some(id) => Ok(id),
        None => bail!("no member has the id or external id {}", quote(name)),
    }
}

/// Like [`find`], but an id that nobody has is left to the check of the change, which records the
/// attempt.
pub(crate) async fn find_or_trust(conn: &mut PgConnection, name: &str) -> anyhow::Result<Uuid> {
    match Uuid::try_parse(name) {
        Ok(id) => Ok(tree::resolve(conn, name).await?.unwrap_or(id)),
        Err(_) => find(conn, name).await,
    }
}
