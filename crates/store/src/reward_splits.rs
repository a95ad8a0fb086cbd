//! How members share direct rewards with those whom they sponsor, by the history of their splits.
//! Who is not in it keeps everything, from the beginning of time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use domain::amount::Percentage;
use domain::history::BEGINNING_OF_TIME;
use domain::reward_split::RewardSplit;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;
use crate::tree::AsOf;

/// A split, and since when it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldSplit {
    /// The shares.
    pub split: RewardSplit,
    /// `None`: the beginning of time.
    pub since: Option<DateTime<Utc>>,
}

/// A member's split as of a moment. Whether anybody has the id is not asked.
pub async fn held(
    conn: &mut PgConnection,
    member_id: Uuid,
    as_of: AsOf,
) -> Result<HeldSplit, StoreError> {
    let row = sqlx::query!(
        r#"
        select effective_at, money_to_self, points_to_self
          from member_reward_splits
         where member_id = $1 and ($2::timestamptz is null or effective_at <= $2)
         order by effective_at desc
         limit 1
        "#,
        member_id,
        as_of,
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(HeldSplit::default()) };
    let split = stored_split(row.money_to_self, row.points_to_self)?;
    Ok(HeldSplit { split, since: Some(row.effective_at) })
}

/// The splits of some members at some moments; of those only who share something.
#[derive(Debug, Default)]
pub(crate) struct Splits(HashMap<(Uuid, DateTime<Utc>), RewardSplit>);

impl Splits {
    /// Reads the splits of members at moments, each pair once.
    pub(crate) async fn read(
        conn: &mut PgConnection,
        wanted: impl Iterator<Item = (Uuid, DateTime<Utc>)>,
    ) -> Result<Self, StoreError> {
        let wanted: BTreeSet<(Uuid, DateTime<Utc>)> = wanted.collect();
        let (ids, moments): (Vec<Uuid>, Vec<DateTime<Utc>>) = wanted.into_iter().unzip();
        let rows = sqlx::query!(
            r#"
            select wanted.member_id as "member_id!", wanted.as_of as "as_of!",
                   h.money_to_self, h.points_to_self
              from unnest($1::uuid[], $2::timestamptz[]) as wanted (member_id, as_of)
             cross join lateral (
                   select money_to_self, points_to_self from member_reward_splits
                    where member_id = wanted.member_id and effective_at <= wanted.as_of
                    order by effective_at desc limit 1) h
            "#,
            &ids,
            &moments,
        )
        .fetch_all(conn)
        .await?;
        let mut splits = HashMap::with_capacity(rows.len());
        for row in rows {
            let split = stored_split(row.money_to_self, row.points_to_self)?;
            if !split.keeps_everything() {
                splits.insert((row.member_id, row.as_of), split);
            }
        }
        Ok(Self(splits))
    }

    /// How the member shared at the moment, if they shared anything.
    pub(crate) fn of(&self, member_and_moment: (Uuid, DateTime<Utc>)) -> Option<RewardSplit> {
        self.0.get(&member_and_moment).copied()
    }
}

/// What is recorded of members: what held at `first`, and every later change. Unknown ones are left
/// out.
pub(crate) async fn recorded(
    conn: &mut PgConnection,
    members: &[Uuid],
    first: DateTime<Utc>,
) -> Result<HashMap<Uuid, BTreeMap<DateTime<Utc>, RewardSplit>>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select m.id, h.effective_at as "effective_at?", h.money_to_self as "money_to_self?",
               h.points_to_self as "points_to_self?"
          from unnest($1::uuid[]) as wanted (id)
         cross join lateral (select id from members where id = wanted.id offset 0) m
          left join lateral (
               select effective_at, money_to_self, points_to_self from member_reward_splits
                where member_id = m.id and effective_at > $2
               union all
               (select effective_at, money_to_self, points_to_self from member_reward_splits
                 where member_id = m.id and effective_at <= $2
                 order by effective_at desc limit 1)) h on true
        "#,
        members,
        first,
    )
    .fetch_all(conn)
    .await?;
    let mut recorded: HashMap<Uuid, BTreeMap<_, _>> = HashMap::new();
    for row in rows {
        let own = recorded
            .entry(row.id)
            .or_insert_with(|| BTreeMap::from([(BEGINNING_OF_TIME, RewardSplit::default())]));
        if let (Some(at), Some(money), Some(points)) =
            (row.effective_at, row.money_to_self, row.points_to_self)
        {
            own.insert(at, stored_split(money, points)?);
        }
    }
    Ok(recorded)
}

fn stored_split(money: Decimal, points: Decimal) -> Result<RewardSplit, StoreError> {
    Ok(RewardSplit { money_to_self: stored_share(money)?, points_to_self: stored_share(points)? })
}

/// A share as stored, in percent.
pub(crate) fn stored_share(share: Decimal) -> Result<Percentage, StoreError> {
    Percentage::parse(&share.to_string()).map_err(StoreError::damaged)
}
