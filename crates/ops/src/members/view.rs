//! Members as results show them, with the field names of the HTTP API.

use domain::ladder::Ladder;
use domain::member::MemberStatus;
use serde::Serialize;
use store::enrolment::Member;
use uuid::Uuid;

use crate::output;
use domain::calendar;

/// A member as they are, or were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MemberView {
    pub(crate) id: Uuid,
    pub(crate) external_id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) sponsor_id: Option<Uuid>,
    pub(crate) joined_at: String,
    pub(crate) status: MemberStatus,
    pub(crate) rank: String,
}

impl MemberView {
    /// The member, with the rank by its name.
    pub(crate) fn new(member: Member, ladder: &Ladder) -> Self {
        Self {
            id: member.id,
            external_id: member.external_id,
            name: member.name,
            sponsor_id: member.sponsor_id,
            joined_at: calendar::rfc3339(member.joined_at),
            status: member.status,
            rank: ladder.name(member.rank),
        }
    }

    /// What people call the member: `Jana (M-1)`, as much of it as is known.
    pub(crate) fn label(&self) -> String {
        let external_id = self.external_id.as_deref().map(plain);
        match (self.name.as_deref().map(plain), external_id) {
            (Some(name), Some(external_id)) => format!("{name} ({external_id})"),
            (Some(name), None) => format!("{name} ({})", short(self.id)),
            (None, Some(external_id)) => external_id,
            (None, None) => self.id.to_string(),
        }
    }

    /// The label and the id, once where they are the same.
    pub(crate) fn who(&self) -> String {
        match (self.label(), self.id.to_string()) {
            (label, id) if label == id => id,
            (label, id) => format!("{label}, {id}"),
        }
    }
}

/// A member on a level above or below another.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PlacedMember {
    /// Levels between the two; 1 is the sponsor, or a direct member.
    pub(crate) level: i32,
    #[serde(flatten)]
    pub(crate) member: MemberView,
}

/// Members below one another, each with the level.
pub(crate) fn table<'a, L: ToString>(members: impl Iterator<Item = (L, &'a MemberView)>) -> String {
    let rows = members.map(|(level, member)| {
        vec![
            level.to_string(),
            member.id.to_string(),
            member.external_id.as_deref().map(plain).unwrap_or_default(),
            member.name.as_deref().map(plain).unwrap_or_default(),
            member.rank.clone(),
            member.status.to_string(),
        ]
    });
    let header = ["LEVEL", "ID", "EXTERNAL ID", "NAME", "RANK", "STATUS"];
    output::table(&header, &[0], rows.collect())
}

/// A text that steers no terminal: names are checked when they come in, and once more where they
/// go out. Marks that turn the direction of writing would let a name hide what follows it.
pub(crate) fn plain(text: &str) -> String {
    let steers = |character: char| {
        character.is_control()
            || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|character| if steers(character) { '\u{fffd}' } else { character }).collect()
}

/// The end of an id. Ids that are made at the same time begin alike.
fn short(id: Uuid) -> String {
    let text = id.to_string();
    let end = text.rsplit('-').next().unwrap_or_default();
    format!("…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_what_is_known() {
        let mut member = MemberView {
            id: Uuid::from_u128(0xabc),
            external_id: Some("M-1".to_owned()),
            name: Some("Jana".to_owned()),
            sponsor_id: None,
            joined_at: String::new(),
            status: MemberStatus::Active,
            rank: "GOLD".to_owned(),
        };
        assert_eq!(member.label(), "Jana (M-1)");
        member.external_id = None;
        assert_eq!(member.label(), "Jana (…000000000abc)");
        member.name = None;
        assert_eq!(member.label(), "00000000-0000-0000-0000-000000000abc");
        member.external_id = Some("M-1".to_owned());
        assert_eq!(member.label(), "M-1");
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!(plain("Jana Nováková 雅"), "Jana Nováková 雅");
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{202e}d"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d");
    }
}
