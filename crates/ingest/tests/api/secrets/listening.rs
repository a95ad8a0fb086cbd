//! Hearing all that processes say, and searching it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use store::testing::World;

/// A process whose words are kept.
pub(crate) struct Heard {
    pub(crate) child: Child,
    files: [PathBuf; 2],
}

impl Heard {
    pub(crate) fn start(mut command: Command, directory: &Path, name: &str) -> Self {
        let files = ["out", "err"].map(|kind| directory.join(format!("{name}.{kind}")));
        command.stdin(Stdio::null());
        command.stdout(File::create(&files[0]).unwrap()).stderr(File::create(&files[1]).unwrap());
        Self { child: command.spawn().unwrap(), files }
    }

    pub(crate) fn said(&self) -> String {
        self.files
            .iter()
            .map(|file| String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned())
            .collect()
    }

    /// Waits until it says something, and returns what follows to the end of the line.
    pub(crate) async fn wait_for(&self, word: &str) -> String {
        let begun = Instant::now();
        loop {
            let said = self.said();
            if let Some((_, rest)) = said.split_once(word)
                && let Some((line, _)) = rest.split_once('\n')
            {
                return line.to_owned();
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "never {word:?} in:\n{said}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops it and returns all that it said.
    pub(crate) fn stop(mut self) -> String {
        let kill = format!("kill -TERM {}", self.child.id());
        Command::new("sh").args(["-c", &kill]).status().unwrap();
        self.child.wait().unwrap();
        self.said()
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory of this test's own; gone when dropped.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new(world: &World) -> Self {
        let path = std::env::temp_dir().join(world.name());
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The command lines of a process's children, as `ps` shows them.
pub(crate) fn arguments_of_children(parent: u32) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let is_child = |process: &PathBuf| {
        let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
        status.lines().any(|line| line == format!("PPid:\t{parent}"))
    };
    let arguments = |process: PathBuf| std::fs::read(process.join("cmdline")).ok();
    let lines = entries.filter(is_child).filter_map(arguments).filter(|line| !line.is_empty());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}

/// Something at whose door every password is wrong, as PostgreSQL says it.
pub(crate) fn wrong_door() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut bytes = [0; 4096];
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            // TLS is asked for first, by eight bytes: there is none.
            if stream.read(&mut bytes).unwrap_or(0) == 8 {
                let _ = stream.write_all(b"N");
                let _ = stream.read(&mut bytes);
            }
            let _ = stream.write_all(b"R\0\0\0\x08\0\0\0\x03");
            let _ = stream.read(&mut bytes);
            let fields =
                b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user \"u\"\0\0";
            let mut error = vec![b'E'];
            error.extend(u32::try_from(fields.len() + 4).unwrap().to_be_bytes());
            error.extend(fields);
            let _ = stream.write_all(&error);
        }
    });
    port
}

/// Texts that were searched for secrets.
#[derive(Default)]
pub(crate) struct Searched {
    secrets: Vec<(String, String)>,
    pub(crate) found: Vec<String>,
}

impl Searched {
    pub(crate) fn secret(&mut self, what: &str, secret: &str) {
        self.secrets.push((what.to_owned(), secret.to_owned()));
    }

    pub(crate) fn search(&mut self, place: &str, text: &str) {
        assert!(!text.is_empty(), "{place} says nothing: there is nothing to be searched");
        for (what, secret) in &self.secrets {
            if let Some(at) = text.find(secret.as_str()) {
                let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
                let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
                self.found.push(format!("{what} in {place}: {}", &text[line..end]));
            }
        }
    }
}
