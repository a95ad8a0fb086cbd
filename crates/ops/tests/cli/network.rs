//! A small network that everybody can hold in their head, and commands about it.
//!
//! ```text
//! 1 Jana (M-1)            6 Otto (M-6)
//! ├── 2 Petr (M-2)
//! │   ├── 3 Eva (M-3)
//! │   │   └── 4 Karel
//! │   └── 5
//! └── 7 Lída (M-7)
//! ```

use std::process::Command;

use domain::ladder::Rank;
use domain::member::MemberStatus;
use serde_json::Value;
use store::enrolment::{self, NewMember};
use store::testing::World;
use uuid::Uuid;

/// The id of a member.
pub(crate) fn member(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// A member's id as it is typed.
pub(crate) fn id(number: u128) -> String {
    member(number).to_string()
}

/// A database with the network above. Everybody joined on the first day of 2024.
pub(crate) async fn small_network() -> World {
    let world = World::new().await;
    world.ladder(&["MEMBER", "SILVER", "GOLD"]).await;
    let mut tx = world.owner.begin().await.unwrap();
    for (number, sponsor, external_id, name, rank) in [
        (1, None, Some("M-1"), Some("Jana"), 2),
        (2, Some(1), Some("M-2"), Some("Petr"), 1),
        (3, Some(2), Some("M-3"), Some("Eva"), 0),
        (4, Some(3), None, Some("Karel"), 0),
        (5, Some(2), None, None, 0),
        (6, None, Some("M-6"), Some("Otto"), 1),
        (7, Some(1), Some("M-7"), Some("Lída"), 0),
    ] {
        let new = NewMember {
            id: member(number),
            external_id: external_id.map(str::to_owned),
            name: name.map(str::to_owned),
            sponsor_id: sponsor.map(member),
            status: MemberStatus::Active,
            rank: Rank(rank),
            joined_at: "2024-01-01T00:00:00Z".parse().ok(),
        };
        enrolment::enrol(&mut tx, &new, "test").await.unwrap();
    }
    tx.commit().await.unwrap();
    world
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// What it printed for programs.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs `lineage members …`.
pub(crate) async fn members(world: &World, arguments: &[&str]) -> Done {
    let mut command = world.lineage();
    command.arg("members").args(arguments);
    done(command).await
}

/// Runs a command to its end.
pub(crate) async fn done(mut command: Command) -> Done {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs `lineage members …` for a program: the value that it printed, and whether it succeeded.
pub(crate) async fn ask(world: &World, arguments: &[&str]) -> (bool, Value) {
    let done = members(world, &[arguments, &["--format", "json"]].concat()).await;
    (done.code == Some(0), done.json())
}

/// Who is above a member, from the sponsor upwards, at a moment or at present.
pub(crate) async fn upline(world: &World, number: u128, as_of: Option<&str>) -> Vec<u128> {
    let of = id(number);
    let mut arguments = vec!["upline", &of];
    arguments.extend(as_of.iter().flat_map(|moment| ["--as-of", moment]));
    let (_, answer) = ask(world, &arguments).await;
    let above = answer["upline"].as_array().unwrap().iter();
    above.map(|member| member["id"].as_str().unwrap().parse::<Uuid>().unwrap().as_u128()).collect()
}

/// What is recorded of a member: kinds and refusals.
pub(crate) async fn recorded(world: &World, number: u128) -> Vec<(String, Option<String>)> {
    let (_, answer) = ask(world, &["history", &id(number)]).await;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let history = answer["history"].as_array().unwrap().iter();
    history.map(|change| (text(&change["kind"]).unwrap(), text(&change["refusal"]))).collect()
}
