//! Inputs: the seller and the upline as they stood at the sale, packed for storage.
//!
//! ```text
//! byte 0        format version, 1 or 2
//! byte 1        version 2 only: what else there is; bit 0 joining moments, bit 1 a reward split
//! then, with bit 1, the sponsor's reward split, 8 bytes:
//!   0..4        money that the sponsor keeps, in units of 0.0001 %, big-endian
//!   4..8        career points that the sponsor keeps, the same
//! then per visited member, the seller first and then upwards, 18 bytes, with bit 0 26:
//!   0..16       member id
//!   16          rank, as its place on the ladder
//!   17          status: 0 ACTIVE, 1 INACTIVE, 2 SUSPENDED, 3 TERMINATED
//!   18..26      when the member joined, in microseconds since 1970 (UTC), big-endian
//! ```
//!
//! Version 1 is written whenever there is nothing else. The SQL function `unpack_inputs` reads the
//! same formats for auditors.

use chrono::{DateTime, Utc};
use thiserror::Error;
use uuid::Uuid;

use crate::amount::Percentage;
use crate::ladder::Rank;
use crate::member::MemberStatus;
use crate::reward_split::RewardSplit;

const PLAIN: u8 = 1;
const EXTENDED: u8 = 2;
const WITH_JOINED_AT: u8 = 1;
const WITH_SPLIT: u8 = 2;
const VISIT_BYTES: usize = 18;
const JOINED_AT_BYTES: usize = 8;
const SPLIT_BYTES: usize = 8;

/// One member as seen at the sale's moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Who.
    pub member_id: Uuid,
    /// The rank then.
    pub rank: Rank,
    /// The status then.
    pub status: MemberStatus,
    /// When they joined; `None` where no rule asks.
    pub joined_at: Option<DateTime<Utc>>,
}

/// What a settlement reads besides the sale and the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inputs {
    /// The member credited with the sale.
    pub seller: Visit,
    /// Sponsor first, then upwards.
    pub upline: Vec<Visit>,
    /// How the sponsor shares direct rewards with the seller; `None`: not at all.
    pub split: Option<RewardSplit>,
}

/// Why stored bytes are not inputs.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnpackError {
    /// No such format version.
    #[error("inputs have format version {0:?}, this program reads {PLAIN} and {EXTENDED}")]
    Version(Option<u8>),
    /// Bits that say something unknown, or nothing at all.
    #[error("inputs have the flags {0:#010b}, which say something unknown or nothing")]
    Flags(u8),
    /// Not a whole number of members, or none.
    #[error("inputs have {0} bytes, which is no whole number of members")]
    Length(usize),
    /// No such status.
    #[error("inputs have a member with the unknown status code {0}")]
    Status(u8),
    /// A share of more than everything.
    #[error("inputs have a reward split of more than 100 %")]
    Split,
    /// A moment that no calendar knows.
    #[error("inputs have a member who joined at an impossible moment")]
    JoinedAt,
}

impl Inputs {
    /// The member at that depth: 0 is the seller, 1 the sponsor.
    #[must_use]
    pub fn at(&self, depth: usize) -> Option<&Visit> {
        match depth.checked_sub(1) {
            None => Some(&self.seller),
            Some(place) => self.upline.get(place),
        }
    }

    /// Keeps only what a settlement read: so many ancestors, and joining moments if any rule asks
    /// for them. So what is stored depends neither on other plans nor on the rest of a batch. The
    /// split is the sponsor's, and goes with the sponsor.
    pub fn keep_read(&mut self, visited: usize, joined_at: bool) {
        self.upline.truncate(visited);
        if self.upline.is_empty() {
            self.split = None;
        }
        if !joined_at {
            self.seller.joined_at = None;
            self.upline.iter_mut().for_each(|visit| visit.joined_at = None);
        }
    }

    /// The stored form.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        let everybody = || std::iter::once(&self.seller).chain(&self.upline);
        let joined_at = everybody().any(|visit| visit.joined_at.is_some());
        let mut bytes = Vec::with_capacity(
            2 + SPLIT_BYTES + (VISIT_BYTES + JOINED_AT_BYTES) * (1 + self.upline.len()),
        );
        if joined_at || self.split.is_some() {
            let flag = |is_there, bit| if is_there { bit } else { 0 };
            let flags = flag(joined_at, WITH_JOINED_AT) | flag(self.split.is_some(), WITH_SPLIT);
            bytes.extend_from_slice(&[EXTENDED, flags]);
        } else {
            bytes.push(PLAIN);
        }
        if let Some(split) = self.split {
            bytes.extend_from_slice(&split.money_to_self.units().to_be_bytes());
            bytes.extend_from_slice(&split.points_to_self.units().to_be_bytes());
        }
        for visit in everybody() {
            bytes.extend_from_slice(visit.member_id.as_bytes());
            bytes.extend_from_slice(&[visit.rank.0, visit.status.code()]);
            if joined_at {
                let micros = visit.joined_at.unwrap_or_default().timestamp_micros();
                bytes.extend_from_slice(&micros.to_be_bytes());
            }
        }
        bytes
    }

    /// Reads the stored form.
    pub fn unpack(bytes: &[u8]) -> Result<Self, UnpackError> {
        let length = UnpackError::Length(bytes.len());
        let (flags, rest) = match bytes {
            [PLAIN, rest @ ..] => (0, rest),
            [EXTENDED, flags, rest @ ..] => (*flags, rest),
            _ => return Err(UnpackError::Version(bytes.first().copied())),
        };
        // One form only: what has nothing else is version 1, so equal inputs are equal bytes.
        if flags & !(WITH_JOINED_AT | WITH_SPLIT) != 0 || (flags == 0 && bytes[0] == EXTENDED) {
            return Err(UnpackError::Flags(flags));
        }
        let (split, visits) = if flags & WITH_SPLIT == 0 {
            (None, rest)
        } else {
            let (split, visits) =
                rest.split_first_chunk::<SPLIT_BYTES>().ok_or_else(|| length.clone())?;
            (Some(unpack_split(*split)?), visits)
        };
        let has_joined_at = flags & WITH_JOINED_AT != 0;
        let size = VISIT_BYTES + if has_joined_at { JOINED_AT_BYTES } else { 0 };
        if visits.is_empty() || !visits.len().is_multiple_of(size) {
            return Err(length);
        }
        let mut visits = visits.chunks_exact(size).map(unpack_visit);
        let seller = visits.next().ok_or(length)??;
        Ok(Self { seller, upline: visits.collect::<Result<_, _>>()?, split })
    }
}

fn unpack_split(bytes: [u8; SPLIT_BYTES]) -> Result<RewardSplit, UnpackError> {
    let share = |units| Percentage::from_units(units).ok_or(UnpackError::Split);
    let ([money, points], _) = bytes.as_chunks::<4>() else { return Err(UnpackError::Split) };
    let (money, points) = (u32::from_be_bytes(*money), u32::from_be_bytes(*points));
    Ok(RewardSplit { money_to_self: share(money)?, points_to_self: share(points)? })
}

fn unpack_visit(bytes: &[u8]) -> Result<Visit, UnpackError> {
    let length = UnpackError::Length(bytes.len());
    let (visit, joined_at) = bytes.split_first_chunk::<VISIT_BYTES>().ok_or(length)?;
    let [id @ .., rank, status] = *visit;
    let moment = |micros| {
        DateTime::from_timestamp_micros(i64::from_be_bytes(micros)).ok_or(UnpackError::JoinedAt)
    };
    Ok(Visit {
        member_id: Uuid::from_bytes(id),
        rank: Rank(rank),
        status: MemberStatus::from_code(status).ok_or(UnpackError::Status(status))?,
        joined_at: joined_at.first_chunk().map(|micros| moment(*micros)).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn visit(joined: bool) -> impl Strategy<Value = Visit> {
        let moment = 0..4_000_000_000_000_000_i64;
        (any::<u128>(), any::<u8>(), 0..4_u8, moment).prop_map(move |(id, rank, status, micros)| {
            Visit {
                member_id: Uuid::from_u128(id),
                rank: Rank(rank),
                status: MemberStatus::from_code(status).unwrap(),
                joined_at: joined.then(|| DateTime::from_timestamp_micros(micros).unwrap()),
            }
        })
    }

    prop_compose! {
        fn inputs()(joined in any::<bool>())(
            seller in visit(joined),
            upline in prop::collection::vec(visit(joined), 0..64),
            split in prop::option::of((0..=1_000_000_u32, 0..=1_000_000_u32)),
        ) -> Inputs {
            let share = |units| Percentage::from_units(units).unwrap();
            let split = split.map(|(money, points)| RewardSplit {
                money_to_self: share(money),
                points_to_self: share(points),
            });
            Inputs { seller, upline, split }
        }
    }

    proptest! {
        #[test]
        fn l9_packed_inputs_come_back_unchanged(inputs in inputs()) {
            prop_assert_eq!(Inputs::unpack(&inputs.pack()), Ok(inputs));
        }

        /// So inputs that are equal are equal bytes, and comparing either compares both.
        #[test]
        fn l4_inputs_have_one_packed_form(
            head in prop_oneof![Just(vec![1]), (0..=4_u8).prop_map(|flags| vec![2, flags])],
            visits in prop::collection::vec(0..=3_u8, 0..90),
        ) {
            let bytes = [head, visits].concat();
            if let Ok(inputs) = Inputs::unpack(&bytes) {
                prop_assert_eq!(inputs.pack(), bytes);
            }
        }
    }

    fn seller() -> Visit {
        Visit {
            member_id: Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
            rank: Rank(2),
            status: MemberStatus::Suspended,
            joined_at: None,
        }
    }

    #[test]
    fn the_packed_form_is_fixed() {
        let mut inputs = Inputs { seller: seller(), upline: vec![], split: None };
        let id = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
        assert_eq!(inputs.pack(), [&[1][..], &id, &[2, 2]].concat());
        inputs.seller.joined_at = DateTime::from_timestamp_micros(258);
        let percent = |text| Percentage::parse(text).unwrap();
        inputs.split =
            Some(RewardSplit { money_to_self: percent("70"), points_to_self: percent("0.0001") });
        let split = [0, 0x0a, 0xae, 0x60, 0, 0, 0, 1];
        let joined_at = [0, 0, 0, 0, 0, 0, 1, 2];
        assert_eq!(inputs.pack(), [&[2, 3][..], &split, &id, &[2, 2], &joined_at].concat());
    }

    #[test]
    fn what_no_rule_reads_is_not_kept() {
        let joined = Visit { joined_at: Some(DateTime::default()), ..seller() };
        let split = Some(RewardSplit::default());
        let mut inputs = Inputs { seller: joined, upline: vec![joined; 3], split };
        inputs.keep_read(2, true);
        assert_eq!((inputs.upline.len(), inputs.seller), (2, joined));
        inputs.keep_read(1, false);
        assert_eq!(
            (&inputs.upline, inputs.seller, inputs.split),
            (&vec![seller()], seller(), split)
        );
        inputs.keep_read(0, false);
        assert_eq!((inputs.upline.len(), inputs.split), (0, None), "whose split would it be");
    }

    #[test]
    fn bytes_that_are_no_inputs_are_refused() {
        assert_eq!(Inputs::unpack(&[]), Err(UnpackError::Version(None)));
        assert_eq!(Inputs::unpack(&[3; 19]), Err(UnpackError::Version(Some(3))));
        assert_eq!(Inputs::unpack(&[2]), Err(UnpackError::Version(Some(2))));
        assert_eq!(Inputs::unpack(&[1]), Err(UnpackError::Length(1)));
        assert_eq!(Inputs::unpack(&[1; 18]), Err(UnpackError::Length(18)));
        assert_eq!(Inputs::unpack(&[1; 20]), Err(UnpackError::Length(20)), "and a byte more");
        assert_eq!(Inputs::unpack(&[2, 4]), Err(UnpackError::Flags(4)));
        assert_eq!(
            Inputs::unpack(&[&[2, 0][..], &[1; 18]].concat()),
            Err(UnpackError::Flags(0)),
            "another form of what version 1 says"
        );
        assert_eq!(Inputs::unpack(&[2, 2, 0]), Err(UnpackError::Length(3)));
        let mut bytes = [1; 19];
        bytes[18] = 9;
        assert_eq!(Inputs::unpack(&bytes), Err(UnpackError::Status(9)));
        let mut bytes = [255; 28];
        (bytes[0], bytes[1]) = (2, 2);
        assert_eq!(Inputs::unpack(&bytes), Err(UnpackError::Split));
    }
}
