//! Reading the part of a tree that is to be drawn.

use std::collections::{HashMap, VecDeque};

use anyhow::Context as _;
use serde::Serialize;
use store::PgConnection;
use store::tree::{self, Place};
use uuid::Uuid;

use super::super::question::Question;
use super::super::view::MemberView;

/// A member with those below who are drawn.
#[derive(Debug, Serialize)]
pub(super) struct Node {
    /// Levels below the top.
    pub(super) level: i32,
    #[serde(flatten)]
    pub(super) member: MemberView,
    pub(super) direct_members: i64,
    pub(super) network_size: i64,
    /// How many of the network stand neither in `downline` nor below somebody there.
    pub(super) more_below: i64,
    /// Whom the member sponsors, by id.
    pub(super) downline: Vec<Self>,
}

/// A part of a tree.
#[derive(Debug)]
pub(super) struct Gathered {
    /// The member at the top.
    pub(super) top: Node,
    /// Whether the limit left somebody out.
    pub(super) is_cut: bool,
}

/// Reads a member and those below, `levels` levels down, `limit` members in all: those nearest to
/// the top come first.
pub(super) async fn gather(
    conn: &mut PgConnection,
    question: &Question,
    id: Uuid,
    levels: u16,
    limit: i64,
) -> anyhow::Result<Gathered> {
    let mut places = vec![Place { level: 0, member_id: id }];
    // One more than fits beside the top tells that there are more.
    places.extend(tree::downline(conn, id, question.as_of, levels, None, limit).await?);
    let limit = usize::try_from(limit)?;
    let is_cut = places.len() > limit;
    places.truncate(limit);
    let ids: Vec<Uuid> = places.iter().map(|place| place.member_id).collect();
    let sizes = tree::sizes(conn, &ids, question.as_of).await?;
    let members = question.placed(conn, &places).await?;
    let nodes = members.into_iter().zip(sizes).map(|(placed, size)| Node {
        level: placed.level,
        member: placed.member,
        direct_members: size.direct_members,
        network_size: size.network_size,
        more_below: 0,
        downline: Vec::new(),
    });
    let top = nest(nodes.collect()).context("the member is gone")?;
    Ok(Gathered { top, is_cut })
}

/// Puts members below their sponsors and counts who is left out. They come level by level, on each
/// by id, the top first.
fn nest(nodes: Vec<Node>) -> Option<Node> {
    // From the last one upwards, everybody's downline is complete before they join another.
    let mut downlines: HashMap<Uuid, VecDeque<Node>> = HashMap::new();
    for mut node in nodes.into_iter().rev() {
        node.downline = downlines.remove(&node.member.id).unwrap_or_default().into();
        let drawn: i64 = node.downline.iter().map(|below| below.network_size + 1).sum();
        node.more_below = node.network_size - drawn;
        match node.member.sponsor_id.filter(|_| node.level > 0) {
            Some(sponsor_id) => downlines.entry(sponsor_id).or_default().push_front(node),
            None => return Some(node),
        }
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use domain::member::MemberStatus;

    use super::*;

    /// Six members: 1 above 2 and 3, 2 above 4 and 5, and 6 below 4, who is too deep to be drawn.
    pub(in super::super) fn example() -> Node {
        let node = |number: u128, level, sponsor: u128, direct_members, network_size| Node {
            level,
            member: MemberView {
                id: Uuid::from_u128(number),
                external_id: (number < 4).then(|| format!("M-{number}")),
                name: (number != 3).then(|| format!("Member {number}")),
                sponsor_id: (sponsor > 0).then(|| Uuid::from_u128(sponsor)),
                joined_at: "2023-05-31T10:00:00Z".to_owned(),
                status: if number == 3 { MemberStatus::Suspended } else { MemberStatus::Active },
                rank: if number == 1 { "GOLD" } else { "MEMBER" }.to_owned(),
            },
            direct_members,
            network_size,
            more_below: 0,
            downline: Vec::new(),
        };
        nest(vec![
            node(1, 0, 9, 2, 5),
            node(2, 1, 1, 2, 3),
            node(3, 1, 1, 0, 0),
            node(4, 2, 2, 1, 1),
            node(5, 2, 2, 0, 0),
        ])
        .unwrap()
    }

    #[test]
    fn everybody_stands_below_their_sponsor_by_id() {
        fn outline(node: &Node) -> String {
            let below: Vec<String> = node.downline.iter().map(outline).collect();
            format!("{}[{}]+{}", node.member.id.as_u128(), below.join(" "), node.more_below)
        }
        assert_eq!(outline(&example()), "1[2[4[]+1 5[]+0]+0 3[]+0]+0");
    }

    #[test]
    fn json_is_nested() {
        let json: serde_json::Value = serde_json::to_value(example()).unwrap();
        assert_eq!(json["external_id"], "M-1");
        assert_eq!((&json["direct_members"], &json["network_size"]), (&2.into(), &5.into()));
        let fourth = &json["downline"][0]["downline"][0];
        assert_eq!(fourth["id"], Uuid::from_u128(4).to_string());
        assert_eq!(fourth["more_below"], 1);
        assert_eq!(fourth["downline"], serde_json::json!([]));
    }
}
