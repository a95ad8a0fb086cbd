//! What the tree costs, in a small, a larger and a large network: enrolments and moves, uplines
//! before and after moves, downlines and counts. Everything is done with the rights and settings
//! of the binary that does it in production.

mod changes;
mod figures;
mod outline;
mod questions;

use anyhow::ensure;
use store::PgPool;
use store::database::{Access, Role};

use super::growth::Growth;
use super::{Ground, Place, Sizes, import, say};
use figures::{Figure, Figures, Measured};
use outline::Outline;

const LARGEST: u32 = 1_000_000;
/// Smaller networks have nothing to measure.
const SMALLEST: u32 = 100;

pub(super) async fn run(place: &Place, sizes: &Sizes) -> anyhow::Result<Vec<Growth>> {
    let largest = sizes.members.unwrap_or(LARGEST);
    let mut figures = Figures::default();
    for members in [largest / 100, largest / 10, largest] {
        if members >= SMALLEST {
            let ground = place.ground(4).await?;
            let measured = measure(&ground, members).await;
            ground.clear().await?;
            figures.add(members, measured?);
        }
    }
    Ok(figures.report())
}

/// Connections with the rights and settings of each binary.
struct Roles {
    ingest: PgPool,
    worker: PgPool,
    ops: PgPool,
}

impl Roles {
    fn open(ground: &Ground) -> anyhow::Result<Self> {
        let access = |role| Access::assuming(role, ground.database.url.clone(), "lineage-bench");
        Ok(Self {
            ingest: access(Role::Ingest).pool(1)?,
            worker: access(Role::Worker).pool(1)?,
            ops: access(Role::Ops).unlimited().pool(1)?,
        })
    }
}

async fn measure(ground: &Ground, members: u32) -> anyhow::Result<Measured> {
    say(&format!("tree: importing {members} members"));
    let imported = import::fill(ground, members).await?;
    let mut outline = Outline::new(members);
    ensure!(outline.ids() == imported.ids, "another network was imported");
    let mut measured = vec![(Figure::Import, imported.seconds)];
    measured.extend(imported.peak_rss_mib.map(|mib| (Figure::ImportMemory, mib)));
    ground.database.settle_down().await?;
    let roles = Roles::open(ground)?;

    say("tree: enrolling one at a time");
    measured.extend(changes::enrolments(&roles.ingest, &outline).await?);
    say("tree: reading pages and counts");
    measured.extend(questions::downlines(&roles.ingest, &outline).await?);
    say("tree: looking uplines up");
    let (uplines, sales) = questions::uplines(ground, &roles, &mut outline).await?;
    measured.extend(uplines);
    say("tree: moving subtrees of 1 and 1000");
    measured.extend(changes::small_moves(&roles.ingest, &mut outline).await?);
    measured.extend(changes::large_moves(&roles, &mut outline, &sales).await?);
    Ok(measured)
}
