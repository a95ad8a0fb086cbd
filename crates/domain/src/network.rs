//! The network as a file states it: checked for flaws and put in an order in which sponsors come
//! before the members they sponsor.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use thiserror::Error;
use uuid::Uuid;

/// How deep a tree may grow: the closure has a row for every member and each of their ancestors.
pub const DEPTH_MAX: u16 = 5_000;

/// A member and who sponsors them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The member.
    pub id: Uuid,
    /// Their sponsor; `None` for the top of a tree.
    pub sponsor: Option<Uuid>,
}

/// How two members stand to one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathBetween {
    /// From the first member up to whom both have above them (or are), and down to the second one.
    pub members: Vec<Uuid>,
    /// The lowest member who is above both, or is one of them, by the place in `members`: as many
    /// levels as the first one climbs.
    pub turning_point: usize,
}

/// The way between two members through the tree, from the two uplines, each beginning with the
/// member themselves. `None`: they stand in different trees.
#[must_use]
pub fn path_between(from: &[Uuid], to: &[Uuid]) -> Option<PathBetween> {
    let levels: HashMap<Uuid, usize> = to.iter().copied().zip(0..).collect();
    let (turning_point, down) =
        from.iter().enumerate().find_map(|(up, id)| Some((up, *levels.get(id)?)))?;
    let members = from[..=turning_point].iter().chain(to[..down].iter().rev());
    Some(PathBetween { members: members.copied().collect(), turning_point })
}

/// The members in an order that can be enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrangement {
    /// Places in the given list; every sponsor of the list before the members they sponsor.
    pub order: Vec<usize>,
    /// For each place in the given list, the place of the sponsor, when in the list too.
    pub sponsor_places: Vec<Option<usize>>,
}

/// What is wrong with one member of the list.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Flaw {
    /// The id stands twice in the list.
    #[error("id {id} stands in the file twice")]
    Duplicate {
        /// The id.
        id: Uuid,
    },
    /// The sponsor is neither in the list nor enrolled.
    #[error("sponsor_id {sponsor} is neither in the file nor enrolled")]
    UnknownSponsor {
        /// The sponsor.
        sponsor: Uuid,
    },
    /// Their own sponsor.
    #[error("the member is their own sponsor")]
    SelfSponsor,
    /// Following sponsors leads back to the member.
    #[error("sponsors form a circle of {length} members that leads back to this one")]
    Circle {
        /// How many members form it.
        length: usize,
    },
}

/// Arranges the members, or names every flaw with the place of the member that has it.
/// `is_enrolled` answers for sponsors who are not in the list.
pub fn arrange(
    links: &[Link],
    is_enrolled: impl Fn(Uuid) -> bool,
) -> Result<Arrangement, Vec<(usize, Flaw)>> {
    let mut flaws = Vec::new();
    let mut places: HashMap<Uuid, usize> = HashMap::with_capacity(links.len());
    for (place, link) in links.iter().enumerate() {
        match places.entry(link.id) {
            Entry::Occupied(_) => flaws.push((place, Flaw::Duplicate { id: link.id })),
            Entry::Vacant(free) => {
                free.insert(place);
            }
        }
    }
    let mut sponsor_places = vec![None; links.len()];
    for (place, link) in links.iter().enumerate() {
        let Some(sponsor) = link.sponsor else { continue };
        if sponsor == link.id {
            flaws.push((place, Flaw::SelfSponsor));
        } else if let Some(sponsor_place) = places.get(&sponsor) {
            sponsor_places[place] = Some(*sponsor_place);
        } else if !is_enrolled(sponsor) {
            flaws.push((place, Flaw::UnknownSponsor { sponsor }));
        }
    }
    let (order, circles) = sponsors_first(&sponsor_places);
    for circle in circles {
        let length = circle.len();
        flaws.extend(circle.into_iter().map(|place| (place, Flaw::Circle { length })));
    }
    flaws.sort_by_key(|(place, _)| *place);
    if flaws.is_empty() { Ok(Arrangement { order, sponsor_places }) } else { Err(flaws) }
}

#[derive(Clone, Copy, PartialEq)]
enum Seen {
    Not,
    /// On the chain that is being followed.
    Now,
    Before,
}

/// Follows every chain of sponsors upwards once. Returns the order and the circles met.
fn sponsors_first(sponsor_places: &[Option<usize>]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let mut seen = vec![Seen::Not; sponsor_places.len()];
    let mut order = Vec::with_capacity(sponsor_places.len());
    let mut circles = Vec::new();
    let mut chain = Vec::new();
    for start in 0..sponsor_places.len() {
        let mut next = Some(start);
        while let Some(place) = next.filter(|place| seen[*place] == Seen::Not) {
            seen[place] = Seen::Now;
            chain.push(place);
            next = sponsor_places[place];
        }
        if let Some(closing) = next.filter(|place| seen[*place] == Seen::Now) {
            let begin = chain.iter().position(|place| *place == closing).unwrap_or(0);
            circles.push(chain[begin..].to_vec());
        }
        while let Some(place) = chain.pop() {
            seen[place] = Seen::Before;
            order.push(place);
        }
    }
    (order, circles)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(id: u128, sponsor: u128) -> Link {
        let sponsor = (sponsor > 0).then(|| Uuid::from_u128(sponsor));
        Link { id: Uuid::from_u128(id), sponsor }
    }

    fn nobody(_: Uuid) -> bool {
        false
    }

    #[test]
    fn sponsors_come_first_whatever_the_order_of_the_file() {
        let links = [link(3, 2), link(2, 1), link(5, 9), link(1, 0), link(4, 2)];
        let arranged = arrange(&links, |id| id == Uuid::from_u128(9)).unwrap();
        assert_eq!(arranged.sponsor_places, [Some(1), Some(3), None, None, Some(1)]);
        let mut sorted = arranged.order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4], "everyone exactly once");
        let turn = |place| arranged.order.iter().position(|other| *other == place);
        for (place, sponsor) in arranged.sponsor_places.iter().enumerate() {
            assert!(sponsor.is_none_or(|sponsor| turn(sponsor) < turn(place)));
        }
    }

    #[test]
    fn every_flaw_is_named() {
        let links = [
            link(1, 0),
            link(2, 2),
            link(1, 0),
            link(3, 8),
            link(4, 6),
            link(5, 4),
            link(6, 5),
            link(7, 6),
        ];
        let flaws = arrange(&links, nobody).unwrap_err();
        assert_eq!(
            flaws,
            [
                (1, Flaw::SelfSponsor),
                (2, Flaw::Duplicate { id: Uuid::from_u128(1) }),
                (3, Flaw::UnknownSponsor { sponsor: Uuid::from_u128(8) }),
                (4, Flaw::Circle { length: 3 }),
                (5, Flaw::Circle { length: 3 }),
                (6, Flaw::Circle { length: 3 }),
            ]
        );
    }

    #[test]
    fn a_path_turns_at_the_lowest_member_above_both() {
        let ids = |numbers: &[u128]| -> Vec<Uuid> {
            numbers.iter().copied().map(Uuid::from_u128).collect()
        };
        let (a, b) = (ids(&[5, 3, 2, 1]), ids(&[7, 6, 2, 1]));
        let expected = PathBetween { members: ids(&[5, 3, 2, 6, 7]), turning_point: 2 };
        assert_eq!(path_between(&a, &b), Some(expected));
        let above = PathBetween { members: ids(&[2, 3, 5]), turning_point: 0 };
        assert_eq!(path_between(&a[2..], &a), Some(above));
        let same = PathBetween { members: ids(&[5]), turning_point: 0 };
        assert_eq!(path_between(&a, &a), Some(same));
        assert_eq!(path_between(&a, &ids(&[9])), None);
    }

    #[test]
    fn a_long_chain_is_no_problem() {
        let links: Vec<_> = (1..=100_000).map(|id| link(id, id - 1)).rev().collect();
        assert_eq!(arrange(&links, nobody).unwrap().order.len(), 100_000);
    }
}
