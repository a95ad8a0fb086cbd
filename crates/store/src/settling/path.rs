//! The way up from a sale's seller, by the closure or, for a past moment, by the sponsor history.

use chrono::{DateTime, Utc};
use domain::inputs::Inputs;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// Seller and upline of one event.
#[derive(Clone, Debug)]
pub enum Walk {
    /// As they stood.
    Found(Inputs),
    /// Nobody is enrolled under the credited id.
    NotEnrolled,
    /// The stored tree contradicts itself above this seller.
    Damaged(String),
}

/// The ids on the way up from one event's seller.
pub(super) struct Path {
    pub(super) seller_id: Option<Uuid>,
    pub(super) as_of: DateTime<Utc>,
    /// The seller first, in the order of the walk; empty when the closure has a gap.
    pub(super) ids: Vec<Uuid>,
}

impl Path {
    /// Puts rows of the closure in their order.
    pub(super) fn of_closure(
        seller_id: Option<Uuid>,
        as_of: DateTime<Utc>,
        rows: (&[Uuid], &[i16]),
    ) -> Self {
        let mut steps: Vec<(i16, Uuid)> =
            rows.1.iter().copied().zip(rows.0.iter().copied()).collect();
        steps.sort_unstable_by_key(|(depth, _)| *depth);
        let gapless = (0..).zip(&steps).all(|(place, (depth, _))| place == *depth);
        let ids = steps.into_iter().filter(|_| gapless).map(|(_, id)| id).collect();
        Self { seller_id, as_of, ids }
    }

    /// The seller's sponsor and the sale's moment, at which the sponsor's split counts; `None` where
    /// nobody is above, or nobody's rule looks there.
    pub(super) fn sponsor(&self) -> Option<(Uuid, DateTime<Utc>)> {
        self.ids.get(1).map(|sponsor_id| (*sponsor_id, self.as_of))
    }
}

/// The seller and everybody above as they stood at a moment, by the sponsor history.
pub(super) async fn past_path(
    conn: &mut PgConnection,
    seller_id: Uuid,
    as_of: DateTime<Utc>,
    depth_max: u16,
) -> Result<Vec<Uuid>, StoreError> {
    let above = sqlx::query_scalar!(
        r#"select ancestor_id as "id!" from upline_as_of($1, $2, $3) order by depth"#,
        seller_id,
        as_of,
        i32::from(depth_max),
    )
    .fetch_all(conn)
    .await?;
    Ok(std::iter::once(seller_id).chain(above).collect())
}
