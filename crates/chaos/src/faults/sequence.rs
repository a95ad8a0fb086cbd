//! Which fault happens next: the same seed, the same sequence.

use super::Fault;
use crate::random::Random;

/// The sequence of faults of a seed.
pub(crate) struct Sequence {
    random: Random,
    kinds: Vec<Fault>,
    /// Each kind once, before any comes again.
    first: Vec<Fault>,
    number: u64,
    seed: u64,
}

/// Of a hundred times, how often two faults come together.
const TOGETHER_PERCENT: u64 = 25;

impl Sequence {
    /// The sequence of these kinds.
    pub(crate) fn new(seed: u64, kinds: Vec<Fault>) -> Self {
        let mut random = Random::new(seed, "faults");
        let mut first = kinds.clone();
        random.shuffle(&mut first);
        Self { random, kinds, first, number: 0, seed }
    }

    /// What happens next, each with its own stream of draws: usually one, sometimes two at once.
    pub(crate) fn next(&mut self) -> Vec<(Fault, Random)> {
        let mut together = vec![self.draw()];
        if self.random.percent(TOGETHER_PERCENT) {
            let first = self.first.iter().rposition(|other| together[0].goes_with(*other));
            let other = match first {
                Some(place) => self.first.remove(place),
                None => self.weighted(),
            };
            if together[0].goes_with(other) {
                together.push(other);
            }
        }
        let mut with_draws = Vec::new();
        for fault in together {
            self.number += 1;
            with_draws.push((fault, Random::new(self.seed, &format!("fault {}", self.number))));
        }
        with_draws
    }

    fn draw(&mut self) -> Fault {
        self.first.pop().unwrap_or_else(|| self.weighted())
    }

    fn weighted(&mut self) -> Fault {
        let total: u64 = self.kinds.iter().map(|fault| fault.weight()).sum();
        let mut left = self.random.between(1, total);
        for fault in &self.kinds {
            if left <= fault.weight() {
                return *fault;
            }
            left -= fault.weight();
        }
        self.kinds[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence_in_which_every_kind_comes_first() {
        let sequence = |seed| {
            let mut sequence = Sequence::new(seed, Fault::all());
            (0..60).flat_map(|_| sequence.next()).map(|(fault, _)| fault).collect::<Vec<_>>()
        };
        assert_eq!(sequence(3), sequence(3));
        assert_ne!(sequence(3), sequence(4));
        for seed in 0..20 {
            let begin: Vec<_> = sequence(seed).into_iter().take(2 * Fault::all().len()).collect();
            for fault in Fault::all() {
                assert!(begin.contains(&fault), "{} in seed {seed}", fault.name());
            }
        }
    }

    #[test]
    fn names_are_different_and_can_be_read() {
        for fault in Fault::all() {
            assert_eq!(Fault::from_name(fault.name()), Some(fault));
        }
    }

    #[test]
    fn together_comes_only_what_can_be_told_apart() {
        let mut sequence = Sequence::new(1, Fault::all());
        for _ in 0..500 {
            let together = sequence.next();
            if let [(one, _), (other, _)] = together.as_slice() {
                assert!(one.goes_with(*other) && other.goes_with(*one), "{one:?} {other:?}");
            }
        }
    }
}
