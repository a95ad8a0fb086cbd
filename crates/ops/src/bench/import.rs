//! Import of members: the command itself on a file, then COPY of the same rows into empty tables
//! with the same indexes, in one transaction.

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use secrecy::ExposeSecret as _;
use store::bench::{self, Floor};
use tokio::process::Command;
use uuid::Uuid;

use super::{Ground, Place, Report, Sizes, network, say};
use crate::processes::peak_rss_mib;

pub(super) async fn run(place: &Place, sizes: &Sizes) -> anyhow::Result<Report> {
    let ground = place.ground(4).await?;
    let report = measure(&ground, sizes.members()).await;
    ground.clear().await?;
    report
}

async fn measure(ground: &Ground, members: u32) -> anyhow::Result<Report> {
    say(&format!("import: {members} members"));
    let Imported { ids, seconds, peak_rss_mib } = fill(ground, members).await?;
    say("import: the floor, COPY of the same rows");
    let pool = &ground.database.pool;
    let floor = Floor::read(pool, &bench::IMPORT, &ids, ids.len()).await?;
    let floor_seconds = floor.write(pool, 1).await?.as_secs_f64();
    Ok(Report {
        bench: "import".to_owned(),
        members,
        seconds: Some(seconds),
        floor_seconds: Some(floor_seconds),
        ratio: Some(floor_seconds / seconds),
        peak_rss_mib,
        goal: "≤ 15 s",
        ..Report::default()
    })
}

/// What an import of a network took.
pub(super) struct Imported {
    /// The members, sponsors first.
    pub(super) ids: Vec<Uuid>,
    /// How long the command ran.
    pub(super) seconds: f64,
    /// The most memory of its process, where the system tells.
    pub(super) peak_rss_mib: Option<f64>,
}

/// Fills an empty database by the command itself, from a CSV file.
pub(super) async fn fill(ground: &Ground, members: u32) -> anyhow::Result<Imported> {
    let file = std::env::temp_dir().join(format!("lineage-bench-{}.csv", std::process::id()));
    let ids = write_csv(&file, members)?;
    let imported = import(ground, &file).await;
    std::fs::remove_file(&file)?;
    let (seconds, peak_rss_mib) = imported?;
    Ok(Imported { ids, seconds, peak_rss_mib })
}

fn write_csv(path: &std::path::Path, members: u32) -> anyhow::Result<Vec<Uuid>> {
    let file =
        std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut file = std::io::BufWriter::new(file);
    writeln!(file, "id,sponsor_id,status,rank,joined_at")?;
    let mut ids = Vec::with_capacity(members as usize);
    for member in network::members(members) {
        let sponsor = member.sponsor_id.map(|id| id.to_string()).unwrap_or_default();
        writeln!(file, "{},{sponsor},ACTIVE,,2024-01-01", member.id)?;
        ids.push(member.id);
    }
    file.flush()?;
    Ok(ids)
}

/// Runs `lineage members import`; its seconds and its most memory.
async fn import(ground: &Ground, file: &std::path::Path) -> anyhow::Result<(f64, Option<f64>)> {
    let begun = Instant::now();
    let mut child = Command::new(std::env::current_exe()?)
        .args(["members", "import"])
        .arg(file)
        .env("DATABASE_URL", ground.servers.database_url.expose_secret())
        .env("REDIS_URL", ground.servers.redis_url.expose_secret())
        .env("LINEAGE_STREAM_PREFIX", &ground.servers.stream_prefix)
        .env_remove("LINEAGE_OPS_DATABASE_URL")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut peak = None;
    let status = loop {
        if let Some(id) = child.id() {
            peak = peak_rss_mib(id).or(peak);
        }
        if let Some(status) = child.try_wait()? {
            break status;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    ensure!(status.success(), "`lineage members import` failed");
    Ok((begun.elapsed().as_secs_f64(), peak))
}
