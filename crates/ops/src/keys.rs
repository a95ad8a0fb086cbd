//! `lineage keys`: who may call the HTTP API.

mod changes;

use std::process::ExitCode;

use clap::builder::{StringValueParser, TypedValueParser as _};
use clap::{Subcommand, ValueEnum};
use serde_json::json;
use store::keys::rotation;
use store::keys::{self, Scope};

use crate::actions::ForWhom;
use crate::connection::DatabaseArgs;
use crate::input::printable;
use crate::output::{self, Format, FormatArgs};
use domain::calendar;

/// `lineage keys …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key and print it; it cannot be read again
    #[command(after_help = "Example:\n  \
        KEY=$(lineage keys create shop-eu --scopes events:write,read)\n  \
        lineage keys create audit-2026 --scopes read --expires 90 --rate 5")]
    Create {
        /// What the key is called in lists
        #[arg(value_parser = printable)]
        name: String,

        /// What it may do: events:write, members:write, read, admin; or all
        #[arg(long, required = true, value_delimiter = ',', value_parser = scopes)]
        scopes: Vec<Scopes>,

        /// After how many days it ceases to work [default: never]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        expires: Option<u32>,

        /// Requests per second that it may send to each ingest process; what two seconds allow may
        /// come at once. 0: no limit [default: ingest's --rate-limit]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
        rate: Option<u32>,

        #[command(flatten)]
        for_whom: ForWhom,

        #[command(flatten)]
        output: FormatArgs,
    },

    /// List keys, without their secrets
    ///
    /// `last used` is to the minute, and shows some seconds after the use.
    #[command(after_help = "Example:\n  lineage keys list")]
    List(FormatArgs),

    /// Make another secret for a key and print the key with it; the old one works for a while
    ///
    /// The id, name, scopes and limits stay. Give the new key to whoever uses it, look with `lineage
    /// keys list` until the previous secret is no longer used, and let its grace end. At most two
    /// secrets work: while the previous one does, another rotation is refused unless --drop or
    /// --grace 0 says what to end. If a secret has leaked, --grace 0 ends all older ones at once.
    #[command(after_help = "Example:\n  \
        KEY=$(lineage keys rotate 4f0c2a9be1d3 --grace 48)\n  \
        lineage keys rotate 4f0c2a9be1d3 --drop newest   # the new key was lost: make another")]
    Rotate {
        /// The key's id, as `lineage keys list` shows it
        #[arg(value_parser = StringValueParser::new().map(id))]
        id: String,

        /// For how many hours the secret in use goes on working, unless it ends earlier already; 0:
        /// all older ones end at once
        #[arg(long, value_name = "HOURS", default_value_t = 24,
              value_parser = clap::value_parser!(u32).range(0..=8_760))]
        grace: u32,

        /// Which of two secrets that work ends at once, to make room for another
        #[arg(long, value_enum)]
        drop: Option<DropArg>,

        #[command(flatten)]
        for_whom: ForWhom,

        #[command(flatten)]
        output: FormatArgs,
    },

    /// Make a secret that a key's requests must be signed with, and print it
    ///
    /// From then on, requests with this key that change something are refused unless they are signed
    /// by the Standard Webhooks scheme; docs/SECURITY.md shows how. With --rotate, the secret before
    /// works for another 24 hours; of two that work, the older one ends at once. With --remove, the
    /// key needs no signatures any longer.
    #[command(after_help = "Example:\n  \
        SECRET=$(lineage keys signing-secret 4f0c2a9be1d3)\n  \
        SECRET=$(lineage keys signing-secret 4f0c2a9be1d3 --rotate)\n  \
        lineage keys signing-secret 4f0c2a9be1d3 --remove")]
    SigningSecret {
        /// The key's id, as `lineage keys list` shows it
        #[arg(value_parser = StringValueParser::new().map(id))]
        id: String,

        /// Make another secret beside the present one
        #[arg(long)]
        rotate: bool,

        /// Let the key's requests go unsigned
        #[arg(long, conflicts_with = "rotate")]
        remove: bool,

        #[command(flatten)]
        for_whom: ForWhom,

        #[command(flatten)]
        output: FormatArgs,
    },

    /// End a key; requests with it are refused a second later at most
    #[command(after_help = "Example:\n  lineage keys revoke 4f0c2a9be1d3")]
    Revoke {
        /// The key's id, as `lineage keys list` shows it
        #[arg(value_parser = StringValueParser::new().map(id))]
        id: String,

        #[command(flatten)]
        for_whom: ForWhom,
    },
}

/// Which of two secrets ends.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DropArg {
    /// The previous one: everybody uses the newer one
    Oldest,
    /// The newer one: it was lost, and nobody uses it
    Newest,
}

impl From<DropArg> for rotation::Drop {
    fn from(typed: DropArg) -> Self {
        match typed {
            DropArg::Oldest => Self::Oldest,
            DropArg::Newest => Self::Newest,
        }
    }
}

/// One word of `--scopes`; `all` stands for several.
#[derive(Clone, Debug)]
pub(crate) struct Scopes(Vec<Scope>);

/// A key's id. Of a whole key only that part is taken: what is recorded and said must hold no secret.
fn id(word: String) -> String {
    let of_key = word.strip_prefix("lk_").and_then(|rest| rest.split('_').next());
    of_key.map_or_else(|| word.clone(), str::to_owned)
}

fn scopes(word: &str) -> Result<Scopes, String> {
    if word == "all" {
        return Ok(Scopes(Scope::ALL.to_vec()));
    }
    let names = Scope::ALL.map(Scope::name).join(", ");
    let scope = Scope::from_name(word.trim()).ok_or_else(|| format!("known are {names}, all"))?;
    Ok(Scopes(vec![scope]))
}

pub(crate) async fn run(command: Command, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    match command {
        Command::Create { name, scopes, expires, rate, for_whom, output } => {
            let asked: Vec<Scope> = scopes.into_iter().flat_map(|word| word.0).collect();
            let limits = keys::Limits { rate_per_second: rate, days: expires };
            changes::create(&pool, &name, &asked, limits, &for_whom, output.format).await?;
        }
        Command::List(FormatArgs { format }) => {
            let mut conn = pool.acquire().await.map_err(store::StoreError::from)?;
            list(&keys::list(&mut conn).await?, format)?;
        }
        Command::Rotate { id, grace, drop, for_whom, output } => {
            let rotation = rotation::Rotation { grace_hours: grace, drop: drop.map(Into::into) };
            changes::rotate(&pool, &id, rotation, &for_whom, output.format).await?;
        }
        Command::SigningSecret { id, remove: true, for_whom, .. } => {
            changes::remove_signing_secret(&pool, &id, &for_whom).await?;
        }
        Command::SigningSecret { id, rotate, for_whom, output, .. } => {
            changes::make_signing_secret(&pool, &id, rotate, &for_whom, output.format).await?;
        }
        Command::Revoke { id, for_whom } => changes::revoke(&pool, &id, &for_whom).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(keys: &[keys::Key], format: Format) -> anyhow::Result<()> {
    let names = |key: &keys::Key| key.scopes.iter().map(|s| s.name()).collect::<Vec<_>>();
    let value: Vec<_> = keys
        .iter()
        .map(|key| {
            json!({
                "id": key.id,
                "name": key.name,
                "scopes": names(key),
                "created_at": calendar::rfc3339(key.created_at),
                "last_used_at": key.last_used_at.map(calendar::rfc3339),
                "expires_at": key.expires_at.map(calendar::rfc3339),
                "revoked_at": key.revoked_at.map(calendar::rfc3339),
                "rate_per_second": key.rate_per_second,
                "previous_secret": key.previous.map(|previous| json!({
                    "works_until": calendar::rfc3339(previous.works_until),
                    "last_used_at": previous.last_used_at.map(calendar::rfc3339),
                })),
                "signing_secrets": key.signing_secrets,
            })
        })
        .collect();
    output::print(format, &value, |_| {
        let minute =
            |at: chrono::DateTime<chrono::Utc>| at.format("%Y-%m-%d %H:%M UTC").to_string();
        let maybe = |at: Option<_>| at.map_or_else(String::new, minute);
        let rows = keys.iter().map(|key| {
            vec![
                key.id.clone(),
                key.name.clone(),
                names(key).join(","),
                minute(key.created_at),
                maybe(key.last_used_at),
                key.previous.map_or_else(String::new, |previous| {
                    let used = previous.last_used_at.map(|at| format!(", used {}", minute(at)));
                    format!("until {}{}", minute(previous.works_until), used.unwrap_or_default())
                }),
                if key.signing_secrets > 0 { "required".to_owned() } else { String::new() },
                key.rate_per_second.map_or_else(String::new, |rate| format!("{rate}/s")),
                maybe(key.expires_at),
                maybe(key.revoked_at),
            ]
        });
        let header = [
            "id",
            "name",
            "scopes",
            "created",
            "last used",
            "previous secret",
            "signatures",
            "limit",
            "expires",
            "revoked",
        ];
        output::table(&header, &[], rows.collect())
    })
}
