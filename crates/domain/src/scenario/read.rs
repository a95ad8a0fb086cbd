//! From a scenario's file to what can be run, or everything that is wrong with it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;
use yaml_serde::Value;

use super::expected::ExpectFile;
use super::expected_names;
use super::file::{MemberFile, ScenarioFile};
use super::steps::{self, Step, StepKind};
use crate::flaws::PlanFlaw;
use crate::ladder::{Ladder, Rank};
use crate::line;
use crate::member::MemberStatus;
use crate::period::Programme;
use crate::plan::PlanFile;
use crate::rule_set::RuleSet;
use crate::text;
use crate::yaml::{FileError, read_yaml};

/// The namespace of members' ids.
const MEMBER_NAMESPACE: Uuid = Uuid::from_u128(0x5ce0_a710_2d4b_5f1e_9c3a_6a6f_4c69_6e65);
/// Deepest indentation of a network that is followed.
const NETWORK_DEPTH_MAX: usize = 100;

/// A scenario that can be run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The name.
    pub name: String,
    /// The calendar.
    pub programme: Programme,
    /// The ladder.
    pub ladder: Ladder,
    /// What is applied before everything else.
    pub plans: Vec<PlanSource>,
    /// Who is enrolled before everything else, sponsors first.
    pub network: Vec<NewMember>,
    /// What happens.
    pub timeline: Vec<Step>,
    /// Everybody's names by their ids.
    pub names: BTreeMap<Uuid, String>,
    pub(super) expect: ExpectFile,
    /// The file as it is written, to find lines in.
    pub(super) yaml: String,
}

/// A plan file that a scenario names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanText {
    /// The file, in a form that is the same for everybody who names it.
    pub file: String,
    /// What it says.
    pub text: String,
}

/// Where a plan is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlanOrigin {
    /// In the scenario.
    Inline,
    /// In this file.
    File(String),
}

/// A plan version to be applied.
#[derive(Clone, Debug)]
pub struct PlanSource {
    /// Where it is written.
    pub origin: PlanOrigin,
    /// What it says; or why it is none.
    pub rule_set: Result<RuleSet, String>,
}

/// A member to be enrolled, for ever after as of the beginning of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMember {
    /// The id, derived from the name.
    pub id: Uuid,
    /// What the scenario calls the member.
    pub external_id: String,
    /// For people.
    pub name: Option<String>,
    /// Who sponsors them.
    pub sponsor_id: Option<Uuid>,
    /// The first status.
    pub status: MemberStatus,
    /// The first rank.
    pub rank: Rank,
    /// When they joined.
    pub joined_at: DateTime<Utc>,
}

/// The id of the member whom scenarios call by this name.
#[must_use]
pub fn member_id(name: &str) -> Uuid {
    Uuid::new_v5(&MEMBER_NAMESPACE, name.as_bytes())
}

impl Scenario {
    /// Reads a scenario. `open` gives the text of a plan file by the path that the scenario names,
    /// or says why it cannot.
    pub fn read(
        yaml: &str,
        open: &dyn Fn(&str) -> Result<PlanText, String>,
    ) -> Result<Self, Vec<FileError>> {
        let file: ScenarioFile = read_yaml(yaml).map_err(|error| vec![error])?;
        let mut reader = Reader {
            yaml,
            open,
            ladder: None,
            programme: Programme::default(),
            flaws: Vec::new(),
            names: BTreeMap::new(),
        };
        let scenario = reader.read(file);
        match scenario {
            Some(scenario) if reader.flaws.is_empty() => Ok(scenario),
            _ => Err(reader.flaws),
        }
    }
}

/// What is known while a file is read.
pub(super) struct Reader<'a> {
    yaml: &'a str,
    open: &'a dyn Fn(&str) -> Result<PlanText, String>,
    ladder: Option<Ladder>,
    pub(super) programme: Programme,
    flaws: Vec<FileError>,
    names: BTreeMap<Uuid, String>,
}

impl Reader<'_> {
    fn read(&mut self, file: ScenarioFile) -> Option<Scenario> {
        self.check_text("scenario", &file.scenario);
        if let Some(calendar) = &file.programme {
            match Programme::parse_time_zone(&calendar.time_zone) {
                Ok(time_zone) => self.programme.time_zone = time_zone,
                Err(error) => self.flaw("programme.time_zone", error),
            }
        }
        let ladder = match Ladder::new(file.ranks) {
            Ok(ladder) => ladder,
            Err(error) => {
                self.flaw("ranks", error);
                return None;
            }
        };
        self.ladder = Some(ladder.clone());
        let plans = self.plans("plan", file.plan);
        let mut network = Vec::new();
        for (place, member) in file.network.iter().enumerate() {
            self.enrol(&format!("network[{place}]"), member, None, &mut network);
        }
        let mut timeline: Vec<Step> = Vec::new();
        for (place, value) in file.timeline.into_iter().enumerate() {
            timeline.extend(steps::read(self, place, value));
        }
        for (place, step) in timeline.iter().enumerate() {
            let StepKind::Sale(sale) = &step.kind else { continue };
            let is_twice = timeline[..place].iter().any(
                |earlier| matches!(&earlier.kind, StepKind::Sale(other) if other.name == sale.name),
            );
            if is_twice {
                let at = format!("timeline[{}].sale", step.place);
                self.flaw(&at, format!("{:?} is the name of two sales", sale.name));
            }
        }
        self.check_expectations(&file.expect, &timeline);
        Some(Scenario {
            name: file.scenario,
            programme: self.programme.clone(),
            ladder,
            plans,
            network,
            timeline,
            names: std::mem::take(&mut self.names),
            expect: file.expect,
            yaml: self.yaml.to_owned(),
        })
    }

    /// Notes what is wrong at a path.
    pub(super) fn flaw(&mut self, path: &str, message: impl ToString) {
        let line = line::of(self.yaml, path);
        self.flaws.push(FileError { path: path.to_owned(), line, message: message.to_string() });
    }

    /// Checks an identifier or a name.
    pub(super) fn check_text(&mut self, path: &str, value: &str) {
        if let Err(error) = text::check(value) {
            self.flaw(path, error);
        }
    }

    /// The id of a member by name.
    pub(super) fn member(&mut self, path: &str, name: &str) -> Uuid {
        self.check_text(path, name);
        let id = member_id(name);
        self.names.insert(id, name.to_owned());
        id
    }

    /// The rank of that name; absent: the lowest.
    pub(super) fn rank(&mut self, path: &str, name: Option<&str>) -> Rank {
        let (Some(name), Some(ladder)) = (name, &self.ladder) else { return Rank::default() };
        match ladder.rank(name) {
            Ok(rank) => rank,
            Err(error) => {
                self.flaw(path, error);
                Rank::default()
            }
        }
    }

    fn enrol(
        &mut self,
        path: &str,
        member: &MemberFile,
        sponsor_id: Option<Uuid>,
        network: &mut Vec<NewMember>,
    ) {
        if path.matches('.').count() > NETWORK_DEPTH_MAX {
            return self.flaw(path, format!("is more than {NETWORK_DEPTH_MAX} levels deep"));
        }
        let at = format!("{path}.id");
        let id = self.member(&at, &member.id);
        if network.iter().any(|other| other.id == id) {
            self.flaw(&at, format!("{:?} is the id of two members", member.id));
        }
        if let Some(name) = &member.name {
            self.check_text(&format!("{path}.name"), name);
        }
        let rank = self.rank(&format!("{path}.rank"), member.rank.as_deref());
        network.push(NewMember {
            id,
            external_id: member.id.clone(),
            name: member.name.clone(),
            sponsor_id,
            status: member.status.unwrap_or_default(),
            rank,
            joined_at: member.joined_at.map_or(default_joined_at(), steps::to_micros),
        });
        for (place, below) in member.downline.iter().enumerate() {
            self.enrol(&format!("{path}.downline[{place}]"), below, Some(id), network);
        }
    }

    /// A plan, the path of one, or a list of them.
    fn plans(&mut self, path: &str, written: Value) -> Vec<PlanSource> {
        match written {
            Value::Null => Vec::new(),
            Value::Sequence(several) => several
                .into_iter()
                .enumerate()
                .filter_map(|(place, value)| self.plan(&format!("{path}[{place}]"), value, true))
                .collect(),
            one => self.plan(path, one, true).into_iter().collect(),
        }
    }

    /// A plan, or the path of one. Whatever is wrong with it is a flaw only if it `must_hold`.
    pub(super) fn plan(
        &mut self,
        path: &str,
        written: Value,
        must_hold: bool,
    ) -> Option<PlanSource> {
        let (origin, compiled) = match written {
            Value::String(name) => match (self.open)(&name) {
                Ok(PlanText { file, text }) => {
                    let compiled = self.compile_text(&text).map_err(|errors| {
                        let said = errors.iter().map(|error| format!("{name}: {error}"));
                        said.map(|message| (path.to_owned(), message)).collect()
                    });
                    (PlanOrigin::File(file), compiled)
                }
                Err(error) => {
                    self.flaw(path, error);
                    return None;
                }
            },
            Value::Mapping(_) => {
                let plan: PlanFile = self.typed(path, written)?;
                let compiled = self.compile(&plan).map_err(|flaws| {
                    let flaws = flaws.into_iter();
                    flaws.map(|flaw| (format!("{path}.{}", flaw.path), flaw.message)).collect()
                });
                (PlanOrigin::Inline, compiled)
            }
            _ => {
                self.flaw(path, "must be a plan, or the path of a plan file");
                return None;
            }
        };
        let rule_set = compiled.map_err(|flaws: Vec<(String, String)>| {
            if must_hold {
                for (at, message) in &flaws {
                    self.flaw(at, message);
                }
            }
            flaws.into_iter().map(|(_, message)| message).collect::<Vec<_>>().join("; ")
        });
        Some(PlanSource { origin, rule_set })
    }

    fn compile(&self, plan: &PlanFile) -> Result<RuleSet, Vec<PlanFlaw>> {
        // Without a ladder nothing is read any further.
        let Some(ladder) = &self.ladder else { return Err(Vec::new()) };
        RuleSet::compile(plan, ladder, &self.programme)
    }

    fn compile_text(&self, text: &str) -> Result<RuleSet, Vec<FileError>> {
        let plan = PlanFile::from_yaml(text).map_err(|error| vec![error])?;
        self.compile(&plan).map_err(|flaws| {
            let flaws = flaws.into_iter();
            let placed = flaws.map(|PlanFlaw { path, message }| FileError {
                line: line::of(text, &path),
                path,
                message,
            });
            placed.collect()
        })
    }

    /// Reads a part of the file.
    pub(super) fn typed<T: serde::de::DeserializeOwned>(
        &mut self,
        path: &str,
        value: Value,
    ) -> Option<T> {
        match serde_path_to_error::deserialize(value) {
            Ok(read) => Some(read),
            Err(error) => {
                let inner = error.path().to_string();
                let at = match inner.as_str() {
                    "" | "." => path.to_owned(),
                    inner => format!("{path}.{inner}"),
                };
                self.flaw(&at, error.into_inner());
                None
            }
        }
    }

    /// Names in expectations that nothing has: they could never be met.
    fn check_expectations(&mut self, expect: &ExpectFile, timeline: &[Step]) {
        let sales = timeline.iter().filter_map(|step| match &step.kind {
            StepKind::Sale(sale) => Some(sale.name.as_str()),
            _ => None,
        });
        let members = self.names.values().map(String::as_str).collect();
        for (at, message) in expected_names::check(expect, &sales.collect(), &members) {
            self.flaw(&at, message);
        }
    }
}

/// When members join who do not say when.
fn default_joined_at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_577_836_800, 0).unwrap_or_default()
}
