//! What tests of random input have in common: chances that a seed repeats, how long to go on, and
//! ways to spoil what is valid.

use std::ops::Range;
use std::time::{Duration, Instant};

/// Sebastiano Vigna's `SplitMix64`: one number repeats everything.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// Chances that follow from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when there is none.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        usize::try_from(self.number().checked_rem(end).unwrap_or(0)).unwrap_or(0)
    }

    /// A number of a range.
    pub fn within(&mut self, range: Range<usize>) -> usize {
        range.start + self.below(range.end.saturating_sub(range.start))
    }

    /// Whether it happens that happens once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of several.
    ///
    /// # Panics
    /// When there are none.
    pub fn of<'a, T>(&mut self, several: &'a [T]) -> &'a T {
        assert!(!several.is_empty(), "one of none");
        &several[self.below(several.len())]
    }

    /// So many random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.number().to_be_bytes()[0]).collect()
    }
}

/// How long to go on: `LINEAGE_FUZZ_MINUTES`, else a number of cases that takes seconds.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    cases: usize,
    until: Option<Instant>,
}

impl Effort {
    /// So many cases, unless the environment gives it minutes.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "tests are configured by the environment alone")]
    pub fn cases(cases: usize) -> Self {
        let minutes = std::env::var("LINEAGE_FUZZ_MINUTES").ok();
        let minutes: Option<u64> =
            minutes.map(|text| text.parse().expect("LINEAGE_FUZZ_MINUTES: a whole number"));
        Self { cases, until: minutes.map(|minutes| Instant::now() + Duration::from_mins(minutes)) }
    }

    /// The numbers of the cases, each once the one before is done.
    pub fn run(self) -> impl Iterator<Item = usize> {
        (0..).take_while(move |case| match self.until {
            Some(until) => Instant::now() < until,
            None => *case < self.cases,
        })
    }
}

/// The seed of this run, printed: a failing test shows how to repeat it.
#[must_use]
pub fn announced_seed(test: &str) -> u64 {
    let seed = super::seed();
    println!("repeat with: LINEAGE_TEST_SEED={seed} cargo test {test}");
    seed
}

/// Pieces that readers of text stumble over.
pub const NASTY: [&str; 40] = [
    "",
    " ",
    "\0",
    "\u{feff}",
    "\u{1b}[31m",
    "\r\n",
    "\n\n\n",
    "\t",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{202e}",
    "\u{200b}",
    "\u{fffd}",
    "\u{10ffff}",
    "é\u{301}\u{301}\u{301}",
    "👩‍👩‍👧‍👦",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "\\ud800",
    ",",
    ";",
    ":",
    "{",
    "[",
    "&a [*a,*a]",
    "<<: *a",
    "!!binary x",
    "%s%n",
    "'; drop table events; --",
    "null",
    "NaN",
    "-0",
    "1e999999",
    "9223372036854775808",
    "0000-00-00T00:00:00Z",
    "99999999-9999-9999-9999-999999999999",
    "../../etc/passwd",
];

/// Spoils bytes in one to four places: bits, pieces cut, doubled, exchanged or put in between, the
/// end cut off, another file's piece.
pub fn mutate(chance: &mut Chance, bytes: &mut Vec<u8>) {
    for _ in 0..chance.within(1..5) {
        let at = chance.below(bytes.len() + 1);
        let end = (at + chance.within(1..32)).min(bytes.len());
        match chance.below(10) {
            0 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                let to = chance.below(bytes.len() + 1);
                drop(bytes.splice(to..to, piece));
            }
            4 => {
                let count = chance.within(1..8);
                let piece = chance.bytes(count);
                drop(bytes.splice(at..end, piece));
            }
            5 => {
                let digits = "9".repeat(chance.within(1..400));
                drop(bytes.splice(at..at, digits.into_bytes()));
            }
            6 => {
                let piece = bytes[at..end].repeat(chance.within(2..200));
                drop(bytes.splice(at..end, piece));
            }
            7 => {
                let depth = chance.within(1..3_000);
                let open = chance.of(&["[", "{\"a\":", "- ", "\"", "  "]).repeat(depth);
                drop(bytes.splice(at..at, open.into_bytes()));
            }
            _ => {
                let piece = chance.of(&NASTY).as_bytes().to_vec();
                drop(bytes.splice(at..at, piece));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_every_mutation() {
        let spoilt = |seed| {
            let (mut chance, mut bytes) = (Chance::new(seed), b"{\"a\": [1, 2]}".repeat(9));
            mutate(&mut chance, &mut bytes);
            bytes
        };
        assert_eq!(spoilt(7), spoilt(7));
        assert_ne!(spoilt(7), spoilt(8));
    }
}
