//! Starting programs that end with us, whatever ends us.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

/// Where `setpriv` is: by it the kernel kills a child when we are gone.
static SETPRIV: LazyLock<Option<PathBuf>> = LazyLock::new(|| in_path("setpriv"));

/// Whether we may change users and mount.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A program of `PATH`.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    let directories = std::env::var_os("PATH")?;
    std::env::split_paths(&directories).map(|at| at.join(name)).find(|path| path.is_file())
}

/// A command that dies with us. PostgreSQL refuses to run as root, so servers of root run as
/// another `user`.
pub(crate) fn command(program: &Path, user: Option<&str>) -> Command {
    let mut command = match (&*SETPRIV, user) {
        (Some(setpriv), _) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL"]);
            if let Some(user) = user {
                command.arg(format!("--reuid={user}")).arg(format!("--regid={user}"));
                command.arg("--clear-groups");
            }
            command.arg("--").arg(program);
            command
        }
        (None, _) => Command::new(program),
    };
    // A process group of its own: a Ctrl-C is for us, who then end the children in order.
    command.process_group(0).kill_on_drop(true);
    command
}

/// The user as whom servers run, when we are root.
pub(crate) fn server_user() -> Option<&'static str> {
    static USER: LazyLock<Option<&'static str>> = LazyLock::new(|| {
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let has_postgres = users.lines().any(|line| line.starts_with("postgres:"));
        let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
        let has_group = groups.lines().any(|line| line.starts_with("postgres:"));
        // 65534 is `nobody` everywhere; its group has several names.
        is_root().then_some(if has_postgres && has_group { "postgres" } else { "65534" })
    });
    *USER
}

/// Sends a signal to a child that nobody has waited for yet, so that its id is still its own.
pub(crate) fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}
