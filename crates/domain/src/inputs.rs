//! Inputs: the seller and the upline as they stood at the sale, packed for storage.
//!
//! ```text
//! byte 0        format version, 1
//! then per visited member, the seller first and then upwards, 18 bytes:
//!   0..16       member id
//!   16          rank, as its place on the ladder
//!   17          status: 0 ACTIVE, 1 INACTIVE, 2 SUSPENDED, 3 TERMINATED
//! ```
//!
//! The SQL function `unpack_inputs` reads the same format for auditors.

use thiserror::Error;
use uuid::Uuid;

use crate::ladder::Rank;
use crate::member::MemberStatus;

const FORMAT_VERSION: u8 = 1;
const VISIT_BYTES: usize = 18;

/// One member as seen at the sale's moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Who.
    pub member_id: Uuid,
    /// The rank then.
    pub rank: Rank,
    /// The status then.
    pub status: MemberStatus,
}

/// What a settlement reads besides the sale and the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inputs {
    /// The member credited with the sale.
    pub seller: Visit,
    /// Sponsor first, then upwards.
    pub upline: Vec<Visit>,
}

/// Why stored bytes are not inputs.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnpackError {
    /// No such format version.
    #[error("inputs have format version {0:?}, this program reads {FORMAT_VERSION}")]
    Version(Option<u8>),
    /// Not a whole number of members, or none.
    #[error("inputs have {0} bytes, which is no whole number of members")]
    Length(usize),
    /// No such status.
    #[error("inputs have a member with the unknown status code {0}")]
    Status(u8),
}

impl Inputs {
    /// The ancestor at that level; 1 is the sponsor.
    #[must_use]
    pub fn ancestor(&self, level: u8) -> Option<&Visit> {
        self.upline.get(usize::from(level).checked_sub(1)?)
    }

    /// Drops ancestors beyond those that a rule set can visit, so that what is stored does not
    /// depend on other plans.
    pub fn keep_visited(&mut self, walk_depth: u8) {
        self.upline.truncate(usize::from(walk_depth));
    }

    /// The stored form.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + VISIT_BYTES * (1 + self.upline.len()));
        bytes.push(FORMAT_VERSION);
        for visit in std::iter::once(&self.seller).chain(&self.upline) {
            bytes.extend_from_slice(visit.member_id.as_bytes());
            bytes.extend_from_slice(&[visit.rank.0, visit.status.code()]);
        }
        bytes
    }

    /// Reads the stored form.
    pub fn unpack(bytes: &[u8]) -> Result<Self, UnpackError> {
        let Some((&FORMAT_VERSION, visits)) = bytes.split_first() else {
            return Err(UnpackError::Version(bytes.first().copied()));
        };
        let (visits, rest) = visits.as_chunks::<VISIT_BYTES>();
        if !rest.is_empty() {
            return Err(UnpackError::Length(bytes.len()));
        }
        let mut visits = visits.iter().map(unpack_visit);
        let seller = visits.next().ok_or(UnpackError::Length(bytes.len()))??;
        Ok(Self { seller, upline: visits.collect::<Result<_, _>>()? })
    }
}

fn unpack_visit(bytes: &[u8; VISIT_BYTES]) -> Result<Visit, UnpackError> {
    let [id @ .., rank, status] = *bytes;
    Ok(Visit {
        member_id: Uuid::from_bytes(id),
        rank: Rank(rank),
        status: MemberStatus::from_code(status).ok_or(UnpackError::Status(status))?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn visit() -> impl Strategy<Value = Visit> {
        (any::<u128>(), any::<u8>(), 0..4_u8).prop_map(|(id, rank, status)| Visit {
            member_id: Uuid::from_u128(id),
            rank: Rank(rank),
            status: MemberStatus::from_code(status).unwrap(),
        })
    }

    proptest! {
        #[test]
        fn l9_packed_inputs_come_back_unchanged(
            seller in visit(),
            upline in prop::collection::vec(visit(), 0..64),
        ) {
            let inputs = Inputs { seller, upline };
            prop_assert_eq!(Inputs::unpack(&inputs.pack()), Ok(inputs));
        }
    }

    #[test]
    fn the_packed_form_is_fixed() {
        let seller = Visit {
            member_id: Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
            rank: Rank(2),
            status: MemberStatus::Suspended,
        };
        let inputs = Inputs { seller, upline: vec![] };
        assert_eq!(inputs.pack(), [1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 2, 2]);
    }

    #[test]
    fn bytes_that_are_no_inputs_are_refused() {
        assert_eq!(Inputs::unpack(&[]), Err(UnpackError::Version(None)));
        assert_eq!(Inputs::unpack(&[2; 19]), Err(UnpackError::Version(Some(2))));
        assert_eq!(Inputs::unpack(&[1]), Err(UnpackError::Length(1)));
        assert_eq!(Inputs::unpack(&[1; 18]), Err(UnpackError::Length(18)));
        let mut bytes = [1; 19];
        bytes[18] = 9;
        assert_eq!(Inputs::unpack(&bytes), Err(UnpackError::Status(9)));
    }
}
