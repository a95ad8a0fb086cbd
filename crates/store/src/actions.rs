//! What operators did and tried to do: an append-only record beside the tables that they change.
//!
//! An action that is done is recorded in its own transaction, so that neither exists without the
//! other. One that is refused or fails is recorded in a transaction of its own, after the other is
//! rolled back.
//!
//! Each row carries the SHA-256 of the action's arguments, so that an auditor who is shown them can
//! tell whether it was these:
//!
//! - of a command that reads a file: the file's bytes, as `sha256sum FILE` prints it;
//! - of an HTTP request: its body's bytes ([`digest_of`]);
//! - of an HTTP request that was refused for its key or its signature (`request.refused`): method,
//!   a space, path and query as they came, such as `POST /v1/events`. The body was not looked at;
//! - of other commands: the words after `lineage` as they were typed, but for the options that say
//!   where PostgreSQL and Redis are, each word after its length in bytes as eight bytes, the highest
//!   first ([`digest`]).

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::StoreError;

/// Characters that are kept of a subject, a person's name or a detail. Requests that are refused
/// repeat what others wrote, which may be long.
const TEXT_CHARS_MAX: usize = 500;

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
    /// Every result.
    pub const ALL: [Self; 3] = [Self::Done, Self::Refused, Self::Failed];

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

impl From<&StoreError> for ActionResult {
    /// Missing rights are a rule that forbids; everything else that PostgreSQL says is a failure.
    fn from(error: &StoreError) -> Self {
        if error.sqlstate().as_deref() == Some("42501") { Self::Refused } else { Self::Failed }
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
    /// The arguments' digest; see [`digest`] and [`digest_of`].
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

/// The digest of a file, of a request's body, or of a refused request's first line.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Records an action.
pub async fn record(conn: &mut PgConnection, action: &Action<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into operator_actions
                (actor, on_behalf_of, action, subject, arguments_digest, result, detail)
         values ($1, $2, $3, $4, $5, $6, $7)",
        action.actor,
        action.on_behalf_of.map(storable),
        action.action,
        action.subject.map(storable),
        &action.arguments[..],
        action.result.name(),
        action.detail.map(storable),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The beginning of a text, without what PostgreSQL cannot keep.
fn storable(text: &str) -> String {
    let character = |c: char| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().take(TEXT_CHARS_MAX).map(character).collect()
}

/// Which actions to list; what is absent does not matter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'a> {
    /// Of this actor.
    pub actor: Option<&'a str>,
    /// This action, or every action below it: `plan` stands for `plan.apply` and `plan.retire`.
    pub action: Option<&'a str>,
    /// On this subject.
    pub subject: Option<&'a str>,
    /// That ended so.
    pub result: Option<ActionResult>,
    /// Recorded at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// After this number.
    pub after: i64,
}

/// An action as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedAction {
    /// Its number: later actions have greater ones.
    pub id: i64,
    /// When its transaction began.
    pub recorded_at: DateTime<Utc>,
    /// Whose session wrote the row.
    pub login: String,
    /// Who asked.
    pub actor: String,
    /// For whom.
    pub on_behalf_of: Option<String>,
    /// What.
    pub action: String,
    /// On what.
    pub subject: Option<String>,
    /// The arguments' digest in hexadecimal.
    pub arguments: String,
    /// `done`, `refused` or `failed`.
    pub result: String,
    /// Why, or what was done.
    pub detail: Option<String>,
}

/// The first `limit` of the actions that are asked for, oldest first.
pub async fn list(
    conn: &mut PgConnection,
    selection: &Selection<'_>,
    limit: i64,
) -> Result<Vec<RecordedAction>, StoreError> {
    let rows = sqlx::query_as!(
        RecordedAction,
        r#"
        select id, recorded_at, login, actor, on_behalf_of, action, subject,
               encode(arguments_digest, 'hex') as "arguments!", result, detail
          from operator_actions
         where id > $1
           and ($2::text is null or actor = $2)
           and ($3::text is null or action = $3 or starts_with(action, $3 || '.'))
           and ($4::text is null or subject = $4)
           and ($5::text is null or result = $5)
           and ($6::timestamptz is null or recorded_at >= $6)
         order by id
         limit $7
        "#,
        selection.after,
        selection.actor,
        selection.action,
        selection.subject,
        selection.result.map(ActionResult::name),
        selection.since,
        limit,
    );
    Ok(rows.fetch_all(conn).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(digest: [u8; 32]) -> String {
        digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    }

    /// What auditors compute by hand must not move.
    #[test]
    fn digests_are_computed_as_is_written() {
        let words: [&[u8]; 2] = [b"plan", b"retire"];
        let spelled_out = b"\0\0\0\0\0\0\0\x04plan\0\0\0\0\0\0\0\x06retire";
        assert_eq!(digest(&words), digest_of(spelled_out));
        // printf '' | sha256sum
        let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex(digest_of(b"")), of_nothing);
        assert_eq!(hex(digest(&[])), of_nothing);
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
    }

    #[test]
    fn what_others_wrote_can_be_stored() {
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
        assert_eq!(storable(&"é".repeat(2_000)).chars().count(), TEXT_CHARS_MAX);
    }
}
