//! The programme's ladder of ranks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::text;

/// A rank's place on the ladder; 0 is the lowest. A place never changes its rank: a ladder grows
/// at the top only, so a stored place means the same for ever.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Rank(pub u8);

/// A rank by name, for people, and by place, for comparing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedRank {
    /// The name when the plan was compiled.
    pub name: String,
    /// The place on the ladder, which never changes its meaning.
    pub place: Rank,
}

impl std::fmt::Display for NamedRank {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.name)
    }
}

/// Most ranks that a ladder can have: a place is one byte of the packed inputs.
pub const RANKS_MAX: usize = 256;

/// The ranks by name, lowest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Ladder(Vec<String>);

/// Why ranks do not make a ladder, or a ladder cannot follow another.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LadderError {
    /// There is always a lowest rank.
    #[error("ranks: at least one rank is needed")]
    Empty,
    /// More than a byte can tell apart.
    #[error("ranks: at most {RANKS_MAX} ranks")]
    TooMany,
    /// The same name twice.
    #[error("ranks: {0} is listed twice")]
    Twice(String),
    /// A name that cannot be stored or printed.
    #[error("ranks: {name:?} {reason}")]
    Name {
        /// The name as given.
        name: String,
        /// What is wrong with it.
        reason: text::TextError,
    },
    /// Stored places would change their meaning.
    #[error(
        "ranks: place {place} is {was} and members, plans or outcomes already rely on it; ranks \
         can be added above {top} only"
    )]
    Reordered {
        /// The place, counted from 1.
        place: usize,
        /// The rank that holds it.
        was: String,
        /// The highest rank in force.
        top: String,
    },
    /// No rank has this name.
    #[error("rank {name} is not on the ladder ({ladder})")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        ladder: String,
    },
}

/// The ladder file as `lineage ranks apply` reads it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LadderFile {
    /// The ranks' names, lowest first. Later files may only add ranks at the end.
    pub ranks: Vec<String>,
}

impl Ladder {
    /// Makes a ladder of the names, lowest first.
    pub fn new(names: Vec<String>) -> Result<Self, LadderError> {
        if names.is_empty() {
            return Err(LadderError::Empty);
        }
        if names.len() > RANKS_MAX {
            return Err(LadderError::TooMany);
        }
        for (place, name) in names.iter().enumerate() {
            text::check(name).map_err(|reason| LadderError::Name { name: name.clone(), reason })?;
            if names[..place].contains(name) {
                return Err(LadderError::Twice(name.clone()));
            }
        }
        Ok(Self(names))
    }

    /// Reads a ladder file: `ranks: [MEMBER, SILVER, GOLD]`.
    pub fn from_yaml(yaml: &str) -> Result<Self, crate::yaml::FileError> {
        let file: LadderFile = crate::yaml::read_yaml(yaml)?;
        Self::new(file.ranks).map_err(|error| crate::yaml::FileError::whole(&error))
    }

    /// The ranks' names, lowest first.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The name of a rank; a place beyond the ladder prints as its number.
    #[must_use]
    pub fn name(&self, rank: Rank) -> String {
        self.0.get(usize::from(rank.0)).map_or_else(|| format!("#{}", rank.0), Clone::clone)
    }

    /// The rank of that name.
    pub fn rank(&self, name: &str) -> Result<Rank, LadderError> {
        self.0
            .iter()
            .position(|known| known == name)
            .and_then(|place| u8::try_from(place).ok())
            .map(Rank)
            .ok_or_else(|| LadderError::Unknown {
                name: name.to_owned(),
                ladder: self.0.join(", "),
            })
    }

    /// The rank of that name, with the name.
    pub fn named(&self, name: &str) -> Result<NamedRank, LadderError> {
        self.rank(name).map(|place| NamedRank { name: name.to_owned(), place })
    }

    /// Checks that `next` only adds ranks on top of this ladder.
    pub fn check_successor(&self, next: &Self) -> Result<(), LadderError> {
        let changed =
            self.0.iter().enumerate().find(|(place, name)| next.0.get(*place) != Some(*name));
        match changed {
            None => Ok(()),
            Some((place, was)) => Err(LadderError::Reordered {
                place: place + 1,
                was: was.clone(),
                top: self.0.last().cloned().unwrap_or_default(),
            }),
        }
    }
}

impl TryFrom<Vec<String>> for Ladder {
    type Error = LadderError;

    fn try_from(names: Vec<String>) -> Result<Self, LadderError> {
        Self::new(names)
    }
}

impl From<Ladder> for Vec<String> {
    fn from(ladder: Ladder) -> Self {
        ladder.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ladder(names: &[&str]) -> Result<Ladder, LadderError> {
        Ladder::new(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn ranks_are_ordered_by_their_place() {
        let ladder = ladder(&["MEMBER", "SILVER", "GOLD"]).unwrap();
        assert!(ladder.rank("GOLD").unwrap() > ladder.rank("SILVER").unwrap());
        assert_eq!(ladder.name(Rank(1)), "SILVER");
        assert_eq!(ladder.name(Rank(9)), "#9");
        assert!(matches!(ladder.rank("gold"), Err(LadderError::Unknown { .. })));
    }

    #[test]
    fn a_ladder_grows_at_the_top_only() {
        let now = ladder(&["MEMBER", "SILVER"]).unwrap();
        let grown = ladder(&["MEMBER", "SILVER", "GOLD"]).unwrap();
        assert_eq!(now.check_successor(&grown), Ok(()));
        assert_eq!(now.check_successor(&now), Ok(()));
        for other in [&["SILVER", "MEMBER"][..], &["MEMBER"], &["MEMBER", "BRONZE", "SILVER"]] {
            let error = now.check_successor(&ladder(other).unwrap()).unwrap_err();
            assert!(matches!(error, LadderError::Reordered { .. }), "{other:?}: {error}");
        }
    }

    #[test]
    fn a_ladder_has_distinct_names() {
        assert_eq!(ladder(&[]), Err(LadderError::Empty));
        assert_eq!(ladder(&["A", "A"]), Err(LadderError::Twice("A".into())));
        assert!(Ladder::from_yaml("ranks: [A, B]").is_ok());
        assert!(Ladder::from_yaml("ranks: [A]\nmore: 1").is_err());
    }
}
