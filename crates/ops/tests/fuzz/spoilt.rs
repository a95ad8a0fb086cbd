//! Valid files of the repository, spoilt; and reading with an end.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use store::testing::fuzz::{Chance, mutate};

/// Longer than any file takes on the slowest machine; whatever takes longer hangs.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file below a directory with this ending.
pub(crate) fn files(directory: &Path, ending: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(std::fs::read(path).unwrap());
        }
    }
    found
}

/// One of the files, mostly spoilt, now and then as mere noise.
pub(crate) fn spoilt(chance: &mut Chance, files: &[Vec<u8>]) -> Vec<u8> {
    if chance.once_in(50) {
        let count = chance.below(2_000);
        return chance.bytes(count);
    }
    let mut bytes = chance.of(files).clone();
    for _ in 0..*chance.of(&[0, 1, 1, 1, 2, 4]) {
        mutate(chance, &mut bytes);
    }
    bytes
}

/// What `work` gives, in a thread of its own; fails when it does not end.
pub(crate) fn in_time<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || sender.send(work()));
    match receiver.recv_timeout(PATIENCE) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs: {what}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            let _ = thread.join();
            panic!("it panicked: {what}")
        }
    }
}
