//! `lineage plan check` and `lineage plan apply`.

use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use domain::network::DEPTH_MAX;
use domain::period::Programme;
use domain::rule_book::RuleBook;
use domain::rule_set::RuleSet;
use serde_json::{Value, json};
use store::plans::{self, Application, Applied, ApplyError};
use store::{PgConnection, PgPool, StoreError, programme};

use super::difference::Difference;
use super::file::Source;
use super::{ApplyArgs, CheckArgs};
use crate::actions::{self, Audited};
use crate::connection::DatabaseArgs;
use crate::output;
use crate::ranks;
use domain::calendar;

/// What a check leaves open.
const NOT_LOOKED_AT: &str =
    "Only `lineage plan apply --dry-run` also looks at sales that are settled already.\n";

pub(super) async fn check(args: &CheckArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let source = Source::read(&args.file)?;
    let format = args.output.format;
    let (calendar, ladder, book) = if let Some(path) = &args.ranks {
        (Programme::default(), ranks::read(path)?, RuleBook::default())
    } else {
        let pool = database.connect().await?;
        let mut conn = pool.acquire().await.map_err(StoreError::from)?;
        let ladder = programme::ladder(&mut conn).await?;
        (programme::get(&mut conn).await?, ladder, plans::rule_book(&mut conn).await?)
    };
    let rule_set = match source.compile(&ladder, &calendar) {
        Ok(rule_set) => rule_set,
        Err(flaws) => {
            source.report(&flaws, format)?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let known = book.versions().iter().find(|version| version.rule_set == rule_set);
    let number = known.map(|version| version.number);
    if number.is_none() {
        book.check_addition(&rule_set).with_context(|| source.name.clone())?;
    }
    let valid_to = book.valid_until(&rule_set);
    let mut value = describe(&rule_set, number, valid_to);
    value["fine"] = json!(true);
    // Without a database nobody knows what is in force.
    let difference = (!args.offline).then(|| Difference::of(&rule_set, &book));
    value["difference"] = json!(difference.as_ref().map(Difference::json));
    output::print(format, &value, |_| {
        let applied = number.map(|_| " It is applied already.").unwrap_or_default();
        let facts = facts(&rule_set, number, valid_to, &calendar);
        let difference = difference.as_ref().map(|difference| difference.text(&calendar));
        let difference = difference.unwrap_or_default();
        let unknown = if number.is_none() { NOT_LOOKED_AT } else { "" };
        format!("{} is fine.{applied}\n{facts}{difference}{unknown}", source.name)
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn apply(args: &ApplyArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let source = Source::read(&args.file)?;
    let pool = database.connect().await?;
    let audited = Audited::new("plan.apply")
        .of_file(source.bytes())
        .on_behalf_of(args.person.name())
        .unless_tried(args.dry_run);
    audited.watch(&pool, carry_out(args, &source, &pool, &audited)).await
}

async fn carry_out(
    args: &ApplyArgs,
    source: &Source,
    pool: &PgPool,
    audited: &Audited,
) -> anyhow::Result<ExitCode> {
    let format = args.output.format;
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    let calendar = programme::get(&mut tx).await?;
    let rule_set = match source.compile(&programme::ladder(&mut tx).await?, &calendar) {
        Ok(rule_set) => rule_set,
        Err(flaws) => {
            tx.rollback().await.map_err(StoreError::from)?;
            let first = flaws.first().map(ToString::to_string).unwrap_or_default();
            audited.refuse(pool, &format!("{} flaw(s): {first}", flaws.len())).await;
            source.report(&flaws, format)?;
            return Ok(ExitCode::FAILURE);
        }
    };
    audited.is_about(format!("{} {}", rule_set.plan, rule_set.version));
    let applied = write(&mut tx, &rule_set, source, &args.reason).await?;
    let book = plans::rule_book(&mut tx).await?;
    let valid_to = book.valid_until(&rule_set);
    let difference = Difference::of(&rule_set, &book);
    let (number, revived, status) = match applied {
        // The number that was undone goes to nobody.
        Applied::New { revived, .. } if args.dry_run => (None, revived, "applied"),
        Applied::New { number, revived } => (Some(number), revived, "applied"),
        Applied::Already { number } => (Some(number), Vec::new(), "already_applied"),
    };
    if args.dry_run {
        tx.rollback().await.map_err(StoreError::from)?;
    } else {
        let detail = match status {
            "applied" => args.reason.as_str(),
            _ => "the same content was applied already; nothing was changed",
        };
        audited.commit(tx, detail).await?;
        args.bell.ring(&revived).await;
    }
    let mut value = describe(&rule_set, number, valid_to);
    value["status"] = json!(status);
    value["dry_run"] = json!(args.dry_run);
    value["revived_events"] = json!(revived.len());
    value["difference"] = difference.json();
    output::print(format, &value, |_| {
        let title = format!("plan {} version {}", rule_set.plan, rule_set.version);
        let what = match (status, args.dry_run) {
            ("applied", false) => format!("Applied {title}.\n"),
            ("applied", true) => format!("Would apply {title}; nothing was changed.\n"),
            _ => format!("This content was already applied: {title}. Nothing was changed.\n"),
        };
        let facts = facts(&rule_set, number, valid_to, &calendar);
        let difference = if args.dry_run { difference.text(&calendar) } else { String::new() };
        match revived.len() {
            0 => format!("{what}{facts}{difference}"),
            waited => format!("{what}{facts}{difference}{waited} sale(s) had waited for it.\n"),
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn write(
    conn: &mut PgConnection,
    rule_set: &RuleSet,
    source: &Source,
    reason: &str,
) -> anyhow::Result<Applied> {
    let applied_by = actions::actor(conn).await?;
    let application =
        Application { rule_set, file_hash: source.hash(), applied_by: &applied_by, reason };
    let applied = plans::apply(conn, &application).await.map_err(|error| match error {
        // Unwrapped, because advice is given for what PostgreSQL says.
        ApplyError::Store(error) => anyhow::Error::from(error),
        refused => refused.into(),
    });
    applied.with_context(|| source.name.clone())
}

fn describe(rule_set: &RuleSet, number: Option<i32>, valid_to: Option<DateTime<Utc>>) -> Value {
    json!({
        "plan": rule_set.plan,
        "version": rule_set.version,
        "number": number,
        "hash": RuleSet::hash(&rule_set.content()).to_string(),
        "valid_from": calendar::rfc3339(rule_set.valid_from),
        "valid_to": valid_to.map(calendar::rfc3339),
        "rules": rule_set.rules.len(),
        "levels": levels(rule_set),
    })
}

/// How many levels above the seller are looked at; `None`: as many as there are.
fn levels(rule_set: &RuleSet) -> Option<u16> {
    Some(rule_set.reads().depth).filter(|depth| *depth < DEPTH_MAX)
}

fn facts(
    rule_set: &RuleSet,
    number: Option<i32>,
    valid_to: Option<DateTime<Utc>>,
    programme: &Programme,
) -> String {
    let mut rows = vec![("plan", format!("{}, version {}", rule_set.plan, rule_set.version))];
    rows.extend(number.map(|number| ("number", number.to_string())));
    rows.push(("hash", RuleSet::hash(&rule_set.content()).to_string()));
    rows.push(("valid", validity(rule_set.valid_from, valid_to, programme)));
    let reach = levels(rule_set).map_or_else(
        || "looking up to the top of the tree".to_owned(),
        |levels| format!("paying up to {levels} level(s)"),
    );
    rows.push(("rules", format!("{}, {reach}", rule_set.rules.len())));
    output::facts(&rows)
}

/// From when until when, in words.
pub(super) fn validity(
    from: DateTime<Utc>,
    to: Option<DateTime<Utc>>,
    programme: &Programme,
) -> String {
    let from = calendar::beginning(programme, from);
    let end = to.map_or_else(
        || "until a successor begins".to_owned(),
        |to| format!("until {} (exclusive)", calendar::beginning(programme, to)),
    );
    format!("from {from} {end}, days in {}", programme.time_zone)
}
