//! The directory of a run: data of the servers, logs of everybody. Gone afterwards, but for the logs
//! of a run that found something.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;

/// What the directories of all runs begin with.
const PREFIX: &str = "lineage-chaos.";

/// A run's own directory below the system's temporary one.
pub(crate) struct Workspace {
    /// The directory.
    pub(crate) path: PathBuf,
    /// Held as long as we live, whatever ends us: who can take it may remove the directory.
    _owner: File,
    keeps_logs: AtomicBool,
}

impl Workspace {
    /// Makes a directory that nobody has, and removes those that killed runs left behind.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let above = std::env::temp_dir();
        remove_abandoned(&above);
        let path = above.join(format!("{PREFIX}{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        // The servers' user has to pass, not to look.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o711))?;
        let mut owner = File::create(path.join("owner"))?;
        owner.try_lock().context("somebody else uses our directory")?;
        writeln!(owner, "{}", std::process::id())?;
        Ok(Self { path, _owner: owner, keeps_logs: AtomicBool::new(false) })
    }

    /// A file that a process may write its messages to; what earlier ones wrote stays.
    pub(crate) fn log(&self, name: &str) -> anyhow::Result<File> {
        let path = self.path.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(&path);
        log.with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes everything but logs, which somebody will want to read.
    pub(crate) fn keep_logs(&self) {
        self.keeps_logs.store(true, Ordering::Relaxed);
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let _ = fs::remove_file(self.path.join("owner"));
    }
}

impl Drop for Workspace {
    /// Removes everything, also when a signal ended the run.
    fn drop(&mut self) {
        // A server that was just killed may still be at it.
        for _ in 0..50 {
            if self.keeps_logs.load(Ordering::Relaxed) || !self.path.exists() {
                return;
            }
            let _ = fs::remove_dir_all(&self.path);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Directories whose owner is gone. Kept logs have no owner and stay.
fn remove_abandoned(above: &Path) {
    for entry in fs::read_dir(above).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if is_ours
            && let Ok(owner) = File::open(entry.path().join("owner"))
            && owner.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
