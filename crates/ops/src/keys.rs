//! `lineage keys`: who may call the HTTP API.

use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;
use secrecy::ExposeSecret as _;
use serde_json::json;
use store::keys::{self, Scope};

use crate::connection::DatabaseArgs;
use crate::output::{self, Format, FormatArgs, print_text, remark};
use domain::calendar;

/// `lineage keys …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key and print it; it cannot be read again
    #[command(after_help = "Example:\n  \
        KEY=$(lineage keys create shop-eu --scopes events:write,read)")]
    Create {
        /// What the key is called in lists
        #[arg(value_parser = name)]
        name: String,

        /// What it may do: events:write, members:write, read, admin; or all
        #[arg(long, required = true, value_delimiter = ',', value_parser = scopes)]
        scopes: Vec<Scopes>,

        #[command(flatten)]
        output: FormatArgs,
    },

    /// List keys, without their secrets
    #[command(after_help = "Example:\n  lineage keys list")]
    List(FormatArgs),

    /// End a key; requests with it are refused from then on
    #[command(after_help = "Example:\n  lineage keys revoke 4f0c2a9be1d3")]
    Revoke {
        /// The key's id, as `lineage keys list` shows it
        id: String,
    },
}

/// One word of `--scopes`; `all` stands for several.
#[derive(Clone, Debug)]
pub(crate) struct Scopes(Vec<Scope>);

fn scopes(word: &str) -> Result<Scopes, String> {
    if word == "all" {
        return Ok(Scopes(Scope::ALL.to_vec()));
    }
    let names = Scope::ALL.map(Scope::name).join(", ");
    let scope = Scope::from_name(word.trim()).ok_or_else(|| format!("known are {names}, all"))?;
    Ok(Scopes(vec![scope]))
}

fn name(text: &str) -> Result<String, String> {
    domain::text::check(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

pub(crate) async fn run(command: Command, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let mut conn = pool.acquire().await.map_err(store::StoreError::from)?;
    match command {
        Command::Create { name, scopes, output: FormatArgs { format } } => {
            let asked: Vec<Scope> = scopes.into_iter().flat_map(|word| word.0).collect();
            let granted: Vec<Scope> =
                Scope::ALL.into_iter().filter(|scope| asked.contains(scope)).collect();
            let (id, key) = keys::create(&mut conn, &name, &granted).await?;
            remark("The key is shown this once; only its hash is stored.");
            match format {
                Format::Table => print_text(key.expose_secret())?,
                Format::Json => print_text(&serde_json::to_string_pretty(&json!({
                    "id": id,
                    "name": name,
                    "scopes": granted.iter().map(|scope| scope.name()).collect::<Vec<_>>(),
                    "key": key.expose_secret(),
                }))?)?,
            }
        }
        Command::List(FormatArgs { format }) => list(&keys::list(&mut conn).await?, format)?,
        Command::Revoke { id } => {
            if !keys::revoke(&mut conn, &id).await? {
                bail!("there is no key {id:?} that still works; see `lineage keys list`");
            }
            print_text(&format!("Key {id} is revoked."))?;
        }
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
                "revoked_at": key.revoked_at.map(calendar::rfc3339),
            })
        })
        .collect();
    output::print(format, &value, |_| {
        let rows = keys.iter().map(|key| {
            vec![
                key.id.clone(),
                key.name.clone(),
                names(key).join(","),
                key.created_at.format("%Y-%m-%d %H:%M UTC").to_string(),
                key.revoked_at
                    .map_or_else(String::new, |at| at.format("%Y-%m-%d %H:%M UTC").to_string()),
            ]
        });
        output::table(&["id", "name", "scopes", "created", "revoked"], &[], rows.collect())
    })
}
