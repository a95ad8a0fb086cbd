//! The programs, and how they are started.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::LOOPS;

/// What every process is started with.
pub(crate) struct Installation {
    pub(super) directory: PathBuf,
    pub(super) sabotage: Option<String>,
    pub(super) worker_arguments: Vec<String>,
}

impl Installation {
    /// Looks for the binaries beside ours, and whether they were built for this.
    pub(crate) async fn find(sabotage: Option<String>) -> anyhow::Result<Self> {
        let ours = std::env::current_exe()?;
        let directory = ours.parent().context("a program without a directory")?.to_owned();
        let build = "run `cargo build --workspace --features store/failpoints`";
        for name in ["lineage", "lineage-ingest", "lineage-worker"] {
            let path = directory.join(name);
            let version = tokio::process::Command::new(&path).arg("--version").output().await;
            let version =
                version.with_context(|| format!("{} is missing: {build}", path.display()))?;
            let version = String::from_utf8_lossy(&version.stdout);
            if name != "lineage" && !version.contains("with failpoints") {
                bail!("{} has no failpoints: {build}", path.display());
            }
        }
        let mut worker_arguments: Vec<String> =
            ["--reclaim-after", "2", "--sweep-every", "1", "--connections"]
                .map(str::to_owned)
                .into();
        worker_arguments.push(LOOPS.to_string());
        let help = tokio::process::Command::new(directory.join("lineage-worker"))
            .arg("--help")
            .output()
            .await?;
        if String::from_utf8_lossy(&help.stdout).contains("--retry-after") {
            worker_arguments.extend(["--retry-after", "1,2,3"].map(str::to_owned));
        }
        Ok(Self { directory, sabotage, worker_arguments })
    }

    /// The operators' program.
    pub(crate) fn lineage(&self) -> PathBuf {
        self.directory.join("lineage")
    }
}
