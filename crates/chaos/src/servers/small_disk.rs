//! A file system of a few hundred megabytes, so that it can be filled.
//!
//! Mounted in a mount namespace of ours (see [`enter_namespace`]), so that it vanishes with the last of our
//! processes, whatever ends us. Needs root; without it there is none, and the fault is left out.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::process::Command;

use crate::children::{in_path, is_root};

/// What fills the disk.
const BALLAST: &str = "ballast";

/// A mounted file system.
pub(crate) struct SmallDisk {
    /// Where it is mounted.
    pub(crate) path: PathBuf,
}

impl SmallDisk {
    /// Mounts one, or says why not.
    pub(crate) async fn mount(path: PathBuf, mebibytes: u64) -> Result<Self, String> {
        if !is_root() {
            return Err("only root may mount a small file system".to_owned());
        }
        let mount = in_path("mount").ok_or("there is no mount command")?;
        fs::create_dir(&path).map_err(|error| error.to_string())?;
        let options = format!("size={mebibytes}m,mode=711");
        let mounted = Command::new(mount)
            .args(["-t", "tmpfs", "-o", &options, "lineage-chaos"])
            .arg(&path)
            .output()
            .await
            .map_err(|error| error.to_string())?;
        if mounted.status.success() {
            return Ok(Self { path });
        }
        let said = String::from_utf8_lossy(&mounted.stderr).trim().to_owned();
        Err(format!("a small file system cannot be mounted: {said}"))
    }

    /// Fills it to the last byte.
    pub(crate) fn fill(&self) -> anyhow::Result<()> {
        let mut ballast = fs::File::create(self.ballast()).context("cannot make the ballast")?;
        for bytes in [vec![0; 1 << 20], vec![0; 4 << 10]] {
            while ballast.write_all(&bytes).is_ok() {}
        }
        Ok(())
    }

    /// Makes room again.
    pub(crate) fn empty(&self) -> anyhow::Result<()> {
        fs::remove_file(self.ballast()).context("cannot remove the ballast")
    }

    fn ballast(&self) -> PathBuf {
        self.path.join(BALLAST)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Some(umount) = in_path("umount") {
            // Lazily: what still holds it lets go when it ends.
            let _ = std::process::Command::new(umount).arg("-l").arg(&self.path).output();
        }
    }
}

/// Starts this program again in a mount namespace of its own, if it may; goes on otherwise.
pub(crate) fn enter_namespace(already: bool) {
    use std::os::unix::process::CommandExt as _;
    let Some(unshare) = in_path("unshare").filter(|_| is_root() && !already) else { return };
    let ours = Path::new("/proc/self/exe");
    let Ok(ours) = fs::read_link(ours) else { return };
    let mut probe = std::process::Command::new(&unshare);
    let may = probe.args(["--mount", "--", "true"]).output();
    if may.is_ok_and(|output| output.status.success()) {
        let mut again = std::process::Command::new(unshare);
        again.args(["--mount", "--"]).arg(ours).args(std::env::args_os().skip(1));
        // Returns only if it fails; then we go on without.
        let _ = again.env(crate::IN_NAMESPACE, "1").exec();
    }
}
