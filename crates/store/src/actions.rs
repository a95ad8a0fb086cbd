//! What operators did and tried to do: an append-only record beside the tables that they change.
//!
//! An action that is done is recorded in its own transaction, so that neither exists without the
//! other. One that is refused or fails is recorded in a transaction of its own.

use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::StoreError;

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionResult {
    /// It has taken effect.
    Done,
    /// A rule forbade it; nothing was changed.
    Refused,
    /// It could not be carried out; nothing was changed.
    Failed,
}

impl ActionResult {
    /// The result's name, as stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// An operator's action, to be recorded.
#[derive(Clone, Copy, Debug)]
pub struct Action<'a> {
    /// The API key (`key:<id>`) or the database login (`role:<login>`).
    pub actor: &'a str,
    /// The person that the actor acted for.
    pub on_behalf_of: Option<&'a str>,
    /// What, in lower case with dots, such as `plan.apply`.
    pub action: &'a str,
    /// On which key, member, plan or event.
    pub subject: Option<&'a str>,
    /// The arguments' digest; see [`digest`].
    pub arguments: [u8; 32],
    /// How it ended.
    pub result: ActionResult,
    /// Why it was refused or failed, or what was done.
    pub detail: Option<&'a str>,
}

/// The digest of an action's arguments, in their order. Each is preceded by its length, so that no
/// two lists of arguments look alike.
#[must_use]
pub fn digest(arguments: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for argument in arguments {
        hasher.update((argument.len() as u64).to_be_bytes());
        hasher.update(argument);
    }
    hasher.finalize().into()
}

/// Records an action.
pub async fn record(conn: &mut PgConnection, action: &Action<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into operator_actions
                (actor, on_behalf_of, action, subject, arguments_digest, result, detail)
         values ($1, $2, $3, $4, $5, $6, $7)",
        action.actor,
        action.on_behalf_of,
        action.action,
        action.subject,
        &action.arguments[..],
        action.result.name(),
        action.detail,
    )
    .execute(conn)
    .await?;
    Ok(())
}
