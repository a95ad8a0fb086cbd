//! Named places at which a test may end the process, and laws that a test may break on purpose.
//!
//! Compiled in only with the feature `failpoints`, which no release has: without it everything here
//! is nothing. The environment says what happens, once, at the first question:
//!
//! | variable | meaning |
//! |---|---|
//! | `LINEAGE_FAILPOINT=after_claim:7` | the seventh time that the process comes by, it ends as by `kill -9` |
//! | `LINEAGE_SABOTAGE=skip_claim` | the process breaks that law, so that the harness can prove that it sees it |

#[cfg(all(feature = "failpoints", not(debug_assertions)))]
compile_error!("failpoints are for builds that tests use; no release has them");

/// Whether this build has failpoints.
pub const COMPILED_IN: bool = cfg!(feature = "failpoints");

/// A place on the way of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Entries are read from the stream; nothing else is done.
    AfterRead,
    /// Facts, inputs and rules are read in the settling transaction.
    AfterLookup,
    /// Outcomes are inserted, lines are not.
    AfterClaim,
    /// Everything is written, nothing is committed.
    BeforeCommit,
    /// Committed; neither announced nor acknowledged.
    AfterCommit,
    /// As before, one step later: the next command is the acknowledgement.
    BeforeAcknowledge,
    /// Ingest: events are committed and not yet published.
    BeforePublish,
}

impl Place {
    /// Every place, in the order in which an event comes by (ingest first).
    pub const ALL: [Self; 7] = [
        Self::BeforePublish,
        Self::AfterRead,
        Self::AfterLookup,
        Self::AfterClaim,
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::BeforeAcknowledge,
    ];

    /// The name that the environment uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AfterRead => "after_read",
            Self::AfterLookup => "after_lookup",
            Self::AfterClaim => "after_claim",
            Self::BeforeCommit => "before_commit",
            Self::AfterCommit => "after_commit",
            Self::BeforeAcknowledge => "before_acknowledge",
            Self::BeforePublish => "before_publish",
        }
    }
}

/// A law that a build may break, to prove that the harness notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Lines are written whoever claimed the outcome (law L1).
    SkipClaim,
    /// Entries are acknowledged before the transaction is committed (law L2).
    AcknowledgeBeforeCommit,
    /// Events are published before they are committed (law L2).
    PublishBeforeInsert,
    /// Sales pay the upline of now, not of their own moment (law L8).
    UplineOfNow,
}

impl Sabotage {
    /// Every law that can be broken.
    pub const ALL: [Self; 4] = [
        Self::SkipClaim,
        Self::AcknowledgeBeforeCommit,
        Self::PublishBeforeInsert,
        Self::UplineOfNow,
    ];

    /// The name that the environment uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SkipClaim => "skip_claim",
            Self::AcknowledgeBeforeCommit => "acknowledge_before_commit",
            Self::PublishBeforeInsert => "publish_before_insert",
            Self::UplineOfNow => "upline_of_now",
        }
    }
}

#[cfg(not(feature = "failpoints"))]
mod switched {
    use super::{Place, Sabotage};

    /// Nothing, in this build.
    #[inline]
    pub fn pass(_place: Place) {}

    /// Never, in this build.
    #[inline]
    #[must_use]
    pub fn is_sabotaged(_sabotage: Sabotage) -> bool {
        false
    }
}

#[cfg(feature = "failpoints")]
mod switched {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{Place, Sabotage};

    /// Where to end, and at which time of passing.
    struct Planned {
        place: String,
        at_pass: u64,
        passed: AtomicU64,
    }

    static PLANNED: LazyLock<Option<Planned>> = LazyLock::new(|| {
        let text = environment("LINEAGE_FAILPOINT")?;
        let (place, at_pass) = text.split_once(':').unwrap_or((&text, "1"));
        let known = Place::ALL.iter().any(|known| known.name() == place);
        let at_pass = at_pass.parse().ok().filter(|at_pass| known && *at_pass > 0);
        let at_pass = at_pass.unwrap_or_else(|| panic!("LINEAGE_FAILPOINT={text}: unknown"));
        Some(Planned { place: place.to_owned(), at_pass, passed: AtomicU64::new(0) })
    });

    static SABOTAGE: LazyLock<Option<Sabotage>> = LazyLock::new(|| {
        let text = environment("LINEAGE_SABOTAGE")?;
        let known = Sabotage::ALL.into_iter().find(|known| known.name() == text);
        Some(known.unwrap_or_else(|| panic!("LINEAGE_SABOTAGE={text}: unknown")))
    });

    /// Ends the process here, if the environment says so.
    pub fn pass(place: Place) {
        if place == Place::AfterLookup && is_sabotaged(Sabotage::SkipClaim) {
            // What the claim is for needs two workers that have read the same event.
            std::thread::sleep(std::time::Duration::from_millis(250));
        }
        let Some(planned) = &*PLANNED else { return };
        if planned.place == place.name()
            && planned.passed.fetch_add(1, Ordering::Relaxed) + 1 == planned.at_pass
        {
            let us = rustix::process::getpid();
            let _ = rustix::process::kill_process(us, rustix::process::Signal::KILL);
        }
    }

    /// Whether the environment says to break this law.
    #[must_use]
    pub fn is_sabotaged(sabotage: Sabotage) -> bool {
        *SABOTAGE == Some(sabotage)
    }

    #[expect(clippy::disallowed_methods, reason = "only in builds for tests, from outside a test")]
    fn environment(name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|text| !text.is_empty())
    }
}

pub use self::switched::{is_sabotaged, pass};
