//! Which expected line is which computed one, where several would fit.

/// For each wanted place a candidate that fits, each candidate used once; as many as possible.
pub(super) fn pair(
    wanted: usize,
    candidates: usize,
    fits: impl Fn(usize, usize) -> bool,
) -> Vec<Option<usize>> {
    let mut taken_by: Vec<Option<usize>> = vec![None; candidates];
    for place in 0..wanted {
        let mut seen = vec![false; candidates];
        place_one(place, &fits, &mut taken_by, &mut seen);
    }
    let mut pairs = vec![None; wanted];
    for (candidate, place) in taken_by.into_iter().enumerate() {
        if let Some(place) = place {
            pairs[place] = Some(candidate);
        }
    }
    pairs
}

/// Finds a candidate, if need be by moving others to other ones.
fn place_one(
    place: usize,
    fits: &impl Fn(usize, usize) -> bool,
    taken_by: &mut [Option<usize>],
    seen: &mut [bool],
) -> bool {
    for candidate in 0..taken_by.len() {
        if seen[candidate] || !fits(place, candidate) {
            continue;
        }
        seen[candidate] = true;
        let is_free = match taken_by[candidate] {
            None => true,
            Some(other) => place_one(other, fits, taken_by, seen),
        };
        if is_free {
            taken_by[candidate] = Some(place);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_fits_several_makes_room_for_whoever_fits_one() {
        let fits = |place, candidate| place == 0 || candidate == 0;
        assert_eq!(pair(2, 2, fits), [Some(1), Some(0)]);
        assert_eq!(pair(3, 2, |_, _| true), [Some(1), Some(0), None]);
    }
}
