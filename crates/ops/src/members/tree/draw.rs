//! Drawing a tree in the terminal.

use super::Node;

/// Draws a member and those below, a line each.
pub(super) fn draw(top: &Node) -> String {
    let mut lines = vec![line(top)];
    branches(top, "", &mut lines);
    lines.push(String::new());
    lines.join("\n")
}

/// Draws what hangs below a member. `indent` stands before every line of it.
fn branches(node: &Node, indent: &str, lines: &mut Vec<String>) {
    let hint = (node.more_below > 0).then(|| format!("… {} more below", node.more_below));
    let count = node.downline.len() + usize::from(hint.is_some());
    for (place, below) in node.downline.iter().enumerate() {
        let (branch, trunk) =
            if place + 1 == count { ("└── ", "    ") } else { ("├── ", "│   ") };
        lines.push(format!("{indent}{branch}{}", line(below)));
        branches(below, &format!("{indent}{trunk}"), lines);
    }
    lines.extend(hint.map(|hint| format!("{indent}└── {hint}")));
}

fn line(node: &Node) -> String {
    let Node { member, direct_members, network_size, .. } = node;
    let (label, rank, status) = (member.label(), &member.rank, member.status);
    format!("{label}  {rank} {status}  direct {direct_members}, network {network_size}")
}

#[cfg(test)]
mod tests {
    use super::super::gather::tests::example;
    use super::*;

    #[test]
    fn branches_lead_to_everybody_drawn_and_count_the_others() {
        let expected = "\
Member 1 (M-1)  GOLD ACTIVE  direct 2, network 5
├── Member 2 (M-2)  MEMBER ACTIVE  direct 2, network 3
│   ├── Member 4 (…000000000004)  MEMBER ACTIVE  direct 1, network 1
│   │   └── … 1 more below
│   └── Member 5 (…000000000005)  MEMBER ACTIVE  direct 0, network 0
└── M-3  MEMBER SUSPENDED  direct 0, network 0
";
        assert_eq!(draw(&example()), expected);
    }

    #[test]
    fn those_whom_the_limit_left_out_hang_beside_the_drawn_ones() {
        let mut top = example();
        top.downline.pop();
        top.more_below = 1;
        let text = draw(&top);
        assert!(text.contains("├── Member 2"), "{text}");
        assert!(text.ends_with("\n└── … 1 more below\n"), "{text}");
    }
}
