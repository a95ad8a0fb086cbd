//! A tree as CSV, a line a member.

use std::collections::VecDeque;

use super::Node;

/// The columns. New ones come last: others rely on the order.
const HEADER: [&str; 9] = [
    "level",
    "id",
    "sponsor_id",
    "external_id",
    "name",
    "rank",
    "status",
    "direct_members",
    "network_size",
];

/// Writes a member and those below, level by level.
pub(super) fn csv(top: &Node) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER)?;
    let mut waiting = VecDeque::from([top]);
    while let Some(node) = waiting.pop_front() {
        let member = &node.member;
        writer.write_record([
            node.level.to_string(),
            member.id.to_string(),
            member.sponsor_id.map(|id| id.to_string()).unwrap_or_default(),
            member.external_id.clone().unwrap_or_default(),
            member.name.clone().unwrap_or_default(),
            member.rank.clone(),
            member.status.to_string(),
            node.direct_members.to_string(),
            node.network_size.to_string(),
        ])?;
        waiting.extend(&node.downline);
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

#[cfg(test)]
mod tests {
    use super::super::gather::tests::example;
    use super::*;

    #[test]
    fn lines_come_level_by_level() {
        let mut top = example();
        top.member.name = Some("Nováková, \"Jana\"".to_owned());
        let text = csv(&top).unwrap();
        let mut lines = text.lines();
        assert_eq!(
            lines.next(),
            Some("level,id,sponsor_id,external_id,name,rank,status,direct_members,network_size")
        );
        assert_eq!(
            lines.next(),
            Some(
                "0,00000000-0000-0000-0000-000000000001,00000000-0000-0000-0000-000000000009,M-1,\
                 \"Nováková, \"\"Jana\"\"\",GOLD,ACTIVE,2,5"
            )
        );
        let levels: Vec<&str> = lines.map(|line| &line[..1]).collect();
        assert_eq!(levels, ["1", "1", "2", "2"]);
    }
}
