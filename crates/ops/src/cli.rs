//! What can be typed after `lineage`.

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::connection::DatabaseArgs;
use crate::{
    actions, bench, dead_letters, demo, explain, keys, ledger, members, plan, programme, ranks,
    scenario, verify,
};

/// The operator's tool of Lineage: set up a programme, import its network, apply plans, and prove
/// what was paid.
#[derive(Debug, Parser)]
#[command(
    name = "lineage",
    version,
    after_help = "Example, from an empty database to a first sale:\n  \
                  export DATABASE_URL=postgres://lineage@localhost/lineage\n  \
                  lineage migrate\n  \
                  lineage program set --time-zone Europe/Prague\n  \
                  lineage ranks apply ranks.yaml\n  \
                  lineage members import members.csv\n  \
                  lineage plan apply plan.yaml --reason 'start of the programme'\n  \
                  lineage keys create shop-eu --scopes events:write\n\n\
                  Exit status: 0 done; 1 failed, or something was found; 2 wrong usage."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One variant a command, in the order in which an operator needs them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring the database's schema up to date
    ///
    /// Uses `DATABASE_URL` as the owner of the schema. Safe to run twice, and from several machines
    /// at once.
    #[command(after_help = "Example:\n  \
        DATABASE_URL=postgres://lineage@localhost/lineage lineage migrate")]
    Migrate,

    /// Set or show the programme's calendar
    #[command(subcommand)]
    Program(programme::Command),

    /// Apply or show the ladder of ranks
    #[command(subcommand)]
    Ranks(ranks::Command),

    /// Create, list, rotate or revoke API keys
    #[command(subcommand)]
    Keys(keys::Command),

    /// Read the record of what operators did, and of what they were refused
    #[command(subcommand)]
    Actions(actions::Command),

    /// Import, move and change members; ask about the tree, as it is and as it stood
    #[command(subcommand)]
    Members(members::Command),

    /// Check, apply, retire, list or show commission plans
    #[command(subcommand)]
    Plan(plan::Command),

    /// Run worked examples of what plans pay, without a database
    #[command(subcommand)]
    Scenario(scenario::Command),

    /// Export the commission ledger
    #[command(subcommand)]
    Ledger(ledger::Command),

    /// List events that could not be settled; retry or discard them
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),

    /// Say who got what for a sale, and why everybody else did not
    Explain(explain::Args),

    /// Compute every outcome again and compare it with what is stored
    Verify(verify::Args),

    /// Measure this machine, each figure beside its floor
    #[command(subcommand)]
    Bench(bench::Bench),

    /// Settle a year of real trade in a database of its own
    Demo(demo::Args),
}

impl Cli {
    /// Reads the command line; ends the process with status 2 when it makes no sense.
    pub(crate) fn read() -> Self {
        let matches = Self::command().get_matches();
        let mut cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        if let Command::Explain(args) = &cli.command
            && !args.is_asked()
        {
            let mut command = Self::command();
            command.build();
            let named = command.find_subcommand_mut("explain").cloned();
            let error = ErrorKind::MissingRequiredArgument;
            named.unwrap_or(command).error(error, explain::NOTHING_ASKED).exit();
        }
        // A URL that is typed is meant, whatever the environment says.
        let typed = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        if typed("database_url") && !typed("own_database_url") {
            cli.database.own_database_url = None;
        }
        cli
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example_in_its_help() {
        fn check(command: &clap::Command, path: &str) {
            if !command.has_subcommands() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Example"), "{path} has no example");
                assert!(help.contains(path), "the example of {path} shows another command");
            }
            for subcommand in command.get_subcommands() {
                check(subcommand, &format!("{path} {}", subcommand.get_name()));
            }
        }
        check(&Cli::command(), "lineage");
    }

    /// What is longer than the help is wide is broken between words, and then cannot be pasted.
    #[test]
    fn no_line_of_an_example_is_so_long_that_it_is_broken() {
        fn look_for(broken: &mut Vec<String>, command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines = help.lines().filter(|line| line.starts_with("  "));
            broken.extend(lines.filter(|line| line.chars().count() > 100).map(str::to_owned));
            for subcommand in command.get_subcommands() {
                look_for(broken, subcommand);
            }
        }
        let mut broken = Vec::new();
        look_for(&mut broken, &Cli::command());
        assert_eq!(broken, Vec::<String>::new());
    }
}
