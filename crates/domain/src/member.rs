//! Members: the people whose upline a sale pays.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Whether a member can earn. Only `ACTIVE` members do.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum MemberStatus {
    /// Takes part and earns.
    #[default]
    Active,
    /// Takes part, but does not earn now.
    Inactive,
    /// Stopped by the company for a time.
    Suspended,
    /// Has left. Keeps the place in the tree.
    Terminated,
}

impl MemberStatus {
    /// Every status, in the order of its stored code.
    pub const ALL: [Self; 4] = [Self::Active, Self::Inactive, Self::Suspended, Self::Terminated];

    /// The name in files, messages and the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::Suspended => "SUSPENDED",
            Self::Terminated => "TERMINATED",
        }
    }

    /// The byte that stands for the status in packed inputs. Never changes its meaning.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Inactive => 1,
            Self::Suspended => 2,
            Self::Terminated => 3,
        }
    }

    /// The status of a stored code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

impl fmt::Display for MemberStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names no status.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("must be ACTIVE, INACTIVE, SUSPENDED or TERMINATED")]
pub struct UnknownStatus;

impl FromStr for MemberStatus {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL.into_iter().find(|status| status.name() == text).ok_or(UnknownStatus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_lead_back_to_the_status() {
        for status in MemberStatus::ALL {
            assert_eq!(status.name().parse(), Ok(status));
            assert_eq!(MemberStatus::from_code(status.code()), Some(status));
        }
        assert_eq!("active".parse::<MemberStatus>(), Err(UnknownStatus));
        assert_eq!(MemberStatus::from_code(4), None);
    }
}
