//! `lineage members show|upline|direct|downline|levels|path|above`: the tree, as it is and as it
//! stood.

use std::process::ExitCode;

use anyhow::Context as _;
use domain::network::{DEPTH_MAX, path_between};
use serde::Serialize;
use store::reward_splits;
use store::tree::{self, Place};
use uuid::Uuid;

use super::question::{self, AskArgs, Question};
use super::splitting::SplitView;
use super::view::{self, MemberView, PlacedMember};
use crate::connection::DatabaseArgs;
use crate::failure;
use crate::output::{self, remark};
use domain::calendar;

/// Members that one answer lists at most.
const LIMIT_MAX: i64 = 100_000;

/// A question about one member.
#[derive(Debug, clap::Args)]
pub(crate) struct MemberArgs {
    /// The member, by id or external id
    id: String,

    #[command(flatten)]
    ask: AskArgs,
}

/// How much of a long list to show.
#[derive(Debug, clap::Args)]
struct PageArgs {
    /// How many members to list at most
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(i64).range(1..=LIMIT_MAX))]
    limit: i64,

    /// Go on after this place: the `next` of an earlier list
    #[arg(long, value_name = "LEVEL.ID")]
    after: Option<Place>,
}

/// A question about whom a member sponsors.
#[derive(Debug, clap::Args)]
pub(crate) struct DirectArgs {
    /// The member, by id or external id
    id: String,

    #[command(flatten)]
    page: PageArgs,

    #[command(flatten)]
    ask: AskArgs,
}

/// A question about everybody below a member.
#[derive(Debug, clap::Args)]
pub(crate) struct DownlineArgs {
    /// The member, by id or external id
    id: String,

    /// How many levels down [default: all]
    #[arg(long, value_name = "N", default_value_t = DEPTH_MAX, hide_default_value = true,
          value_parser = clap::value_parser!(u16).range(1..=i64::from(DEPTH_MAX)))]
    levels: u16,

    #[command(flatten)]
    page: PageArgs,

    #[command(flatten)]
    ask: AskArgs,
}

/// A question about the way between two members.
#[derive(Debug, clap::Args)]
pub(crate) struct PathArgs {
    /// The member where it begins, by id or external id
    from: String,

    /// The member where it ends, by id or external id
    to: String,

    #[command(flatten)]
    ask: AskArgs,
}

/// A question about how two members stand to one another.
#[derive(Debug, clap::Args)]
pub(crate) struct AboveArgs {
    /// The member who may stand above, by id or external id
    upper: String,

    /// The member who may stand below, by id or external id
    lower: String,

    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    member: MemberView,
    reward_split: SplitView,
    direct_members: i64,
    network_size: i64,
}

pub(super) async fn show(args: &MemberArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let mut tx = tree::begin(&pool).await?;
    let question = Question::read(&mut tx, args.ask.as_of).await?;
    let id = question::find(&mut tx, &args.id).await?;
    let mut member = question.members(&mut tx, &[id]).await?;
    let member = member.pop().context("the member is gone")?;
    let sponsors = question.members(&mut tx, member.sponsor_id.as_slice()).await?;
    let sizes = tree::sizes(&mut tx, &[id], question.as_of).await?;
    let size = sizes.first().context("the member is gone")?;
    let (direct_members, network_size) = (size.direct_members, size.network_size);
    let reward_split = reward_splits::held(&mut tx, id, question.as_of).await?.split.into();
    let shown = Shown { member, reward_split, direct_members, network_size };
    output::print(args.ask.output.format, &shown, |Shown { member, reward_split, .. }| {
        let sponsor = sponsors.first().map_or_else(|| "none".to_owned(), MemberView::who);
        let mut facts = vec![
            ("member", member.who()),
            ("sponsor", sponsor),
            ("joined", member.joined_at.clone()),
            ("status", member.status.to_string()),
            ("rank", member.rank.clone()),
            ("reward split", reward_split.to_string()),
            ("direct members", direct_members.to_string()),
            ("network", network_size.to_string()),
        ];
        let moment = |as_of| calendar::beginning(&question.programme, as_of);
        facts.extend(question.as_of.map(|as_of| ("as of", moment(as_of))));
        output::facts(&facts)
    })?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Serialize)]
struct Upline {
    upline: Vec<PlacedMember>,
    /// Uplines are listed whole: there is never more.
    next: Option<i32>,
}

pub(super) async fn upline(args: &MemberArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let mut tx = tree::begin(&pool).await?;
    let question = Question::read(&mut tx, args.ask.as_of).await?;
    let id = question::find(&mut tx, &args.id).await?;
    let places = tree::upline(&mut tx, id, question.as_of, 0, i64::from(DEPTH_MAX) + 1).await?;
    let upline = question.placed(&mut tx, &places).await?;
    output::print(args.ask.output.format, &Upline { upline, next: None }, |answer| {
        listing(&answer.upline, "Nobody is above the member", &question)
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn direct(args: &DirectArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    below(&args.id, 1, &args.page, args.ask, database).await
}

pub(super) async fn downline(
    args: &DownlineArgs,
    database: &DatabaseArgs,
) -> anyhow::Result<ExitCode> {
    below(&args.id, args.levels, &args.page, args.ask, database).await
}

#[derive(Debug, Serialize)]
struct Downline {
    downline: Vec<PlacedMember>,
    next: Option<String>,
}

async fn below(
    name: &str,
    levels: u16,
    page: &PageArgs,
    ask: AskArgs,
    database: &DatabaseArgs,
) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let mut tx = tree::begin(&pool).await?;
    let question = Question::read(&mut tx, ask.as_of).await?;
    let id = question::find(&mut tx, name).await?;
    let after = page.after;
    let asked = page.limit + 1;
    let mut places = tree::downline(&mut tx, id, question.as_of, levels, after, asked).await?;
    let limit = usize::try_from(page.limit)?;
    let there_is_more = places.len() > limit;
    places.truncate(limit);
    let last = places.last().filter(|_| there_is_more);
    let next = last.as_ref().map(ToString::to_string);
    let downline = question.placed(&mut tx, &places).await?;
    let answer = Downline { downline, next };
    output::print(ask.output.format, &answer, |answer| {
        listing(&answer.downline, "Nobody is below the member", &question)
    })?;
    if let Some(next) = &answer.next {
        remark(&format!("There is more; go on with --after {next}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Members in a table, or that there are none.
fn listing(members: &[PlacedMember], none: &str, question: &Question) -> String {
    if members.is_empty() {
        return format!("{none}{}.", question.when());
    }
    view::table(members.iter().map(|placed| (placed.level, &placed.member)))
}

#[derive(Debug, Serialize)]
struct LevelCounts {
    direct_members: i64,
    network_size: i64,
    levels: Vec<Level>,
}

#[derive(Debug, Serialize)]
struct Level {
    level: i32,
    members: i64,
}

pub(super) async fn levels(args: &MemberArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let mut tx = tree::begin(&pool).await?;
    let question = Question::read(&mut tx, args.ask.as_of).await?;
    let id = question::find(&mut tx, &args.id).await?;
    let counts = tree::level_counts(&mut tx, id, question.as_of).await?;
    let level = |count: &tree::LevelCount| Level { level: count.level, members: count.members };
    let answer = LevelCounts {
        direct_members: counts.first().map_or(0, |count| count.members),
        network_size: counts.iter().map(|count| count.members).sum(),
        levels: counts.iter().map(level).collect(),
    };
    output::print(args.ask.output.format, &answer, |answer| {
        let row = |level: &Level| vec![level.level.to_string(), level.members.to_string()];
        let mut rows: Vec<Vec<String>> = answer.levels.iter().map(row).collect();
        rows.push(vec!["all".to_owned(), answer.network_size.to_string()]);
        output::table(&["LEVEL", "MEMBERS"], &[0, 1], rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Serialize)]
struct Way {
    from: Uuid,
    to: Uuid,
    /// Whether both stand in the same tree.
    connected: bool,
    /// How many levels to climb first, to the lowest member above both.
    levels_up: Option<usize>,
    levels_down: Option<usize>,
    path: Vec<MemberView>,
}

pub(super) async fn path(args: &PathArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let mut tx = tree::begin(&pool).await?;
    let question = Question::read(&mut tx, args.ask.as_of).await?;
    let from = question::find(&mut tx, &args.from).await?;
    let to = question::find(&mut tx, &args.to).await?;
    let from_upwards = tree::member_and_upline(&mut tx, from, question.as_of).await?;
    let to_upwards = tree::member_and_upline(&mut tx, to, question.as_of).await?;
    let between = path_between(&from_upwards, &to_upwards);
    let ids = between.as_ref().map(|between| between.members.as_slice()).unwrap_or_default();
    let answer = Way {
        from,
        to,
        connected: between.is_some(),
        levels_up: between.as_ref().map(|between| between.turning_point),
        levels_down: between.as_ref().map(|b| b.members.len() - 1 - b.turning_point),
        path: question.members(&mut tx, ids).await?,
    };
    output::print(args.ask.output.format, &answer, |answer| {
        let (Some(up), Some(down)) = (answer.levels_up, answer.levels_down) else {
            return format!("They stand in different trees{}.", question.when());
        };
        // Levels as seen from the first member: above are negative, and the way down rises again.
        let level = |place: usize| {
            let (climbed, place) = (place.min(up), place.cast_signed());
            place - 2 * climbed.cast_signed()
        };
        let members = answer.path.iter().enumerate();
        let table = view::table(members.map(|(place, member)| (level(place), member)));
        format!("{up} level(s) up and {down} down{}.\n{table}", question.when())
    })?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Serialize)]
struct Above {
    is_above: bool,
    levels: Option<i32>,
}

/// As grep does: 0 for yes, 1 for no, 2 when it could not be told.
pub(super) async fn above(args: &AboveArgs, database: &DatabaseArgs) -> ExitCode {
    match is_above(args, database).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = failure::report(&error);
            ExitCode::from(2)
        }
    }
}

async fn is_above(args: &AboveArgs, database: &DatabaseArgs) -> anyhow::Result<bool> {
    let pool = database.connect().await?;
    let mut tx = tree::begin(&pool).await?;
    let question = Question::read(&mut tx, args.ask.as_of).await?;
    let upper = question::find(&mut tx, &args.upper).await?;
    let lower = question::find(&mut tx, &args.lower).await?;
    let levels = tree::levels_above(&mut tx, upper, lower, question.as_of).await?;
    let answer = Above { is_above: levels.is_some(), levels };
    let members = question.members(&mut tx, &[upper, lower]).await?;
    output::print(args.ask.output.format, &answer, |answer| {
        let labels: Vec<String> = members.iter().map(MemberView::label).collect();
        let between = answer.levels.map_or_else(
            || " does not stand above ".to_owned(),
            |levels| format!(" stands {levels} level(s) above "),
        );
        format!("{}{}.", labels.join(&between), question.when())
    })?;
    Ok(answer.is_above)
}
