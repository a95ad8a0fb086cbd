//! A tree in the language of Graphviz.

use super::super::view::plain;
use super::Node;

/// Writes a member and those below as a directed graph, sponsors above.
pub(super) fn graph(top: &Node) -> String {
    let mut lines = vec!["digraph downline {".to_owned(), "  node [shape=box];".to_owned()];
    write(top, &mut lines);
    lines.push("}\n".to_owned());
    lines.join("\n")
}

fn write(node: &Node, lines: &mut Vec<String>) {
    let Node { member, direct_members, network_size, .. } = node;
    let id = member.id;
    let label = [
        escape(&member.label()),
        escape(&format!("{} {}", member.rank, member.status)),
        format!("direct {direct_members}, network {network_size}"),
    ];
    lines.push(format!("  \"{id}\" [label=\"{}\"];", label.join("\\n")));
    for below in &node.downline {
        write(below, lines);
        lines.push(format!("  \"{id}\" -> \"{}\";", below.member.id));
    }
    if node.more_below > 0 {
        let label = format!("… {} more below", node.more_below);
        lines.push(format!("  \"{id} more\" [label=\"{label}\", shape=plaintext];"));
        lines.push(format!("  \"{id}\" -> \"{id} more\" [style=dashed];"));
    }
}

/// A text inside the quotes of a label. Graphviz reads a backslash as the beginning of a line break
/// or of a name, and an ampersand as that of an HTML character.
fn escape(text: &str) -> String {
    plain(text).replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;")
}

#[cfg(test)]
mod tests {
    use super::super::gather::tests::example;
    use super::*;

    #[test]
    fn a_graph_has_a_node_a_member_and_an_edge_a_sponsorship() {
        let mut top = example();
        top.downline.truncate(1);
        top.downline[0].downline.truncate(1);
        let [one, two, four] =
            [1, 2, 4].map(|number| format!("00000000-0000-0000-0000-00000000000{number}"));
        let expected = format!(
            r#"digraph downline {{
  node [shape=box];
  "{one}" [label="Member 1 (M-1)\nGOLD ACTIVE\ndirect 2, network 5"];
  "{two}" [label="Member 2 (M-2)\nMEMBER ACTIVE\ndirect 2, network 3"];
  "{four}" [label="Member 4 (…000000000004)\nMEMBER ACTIVE\ndirect 1, network 1"];
  "{four} more" [label="… 1 more below", shape=plaintext];
  "{four}" -> "{four} more" [style=dashed];
  "{two}" -> "{four}";
  "{one}" -> "{two}";
}}
"#
        );
        assert_eq!(graph(&top), expected);
    }

    #[test]
    fn names_stay_inside_their_quotes() {
        let mut top = example();
        top.downline.clear();
        top.member.name = Some(r#""]; evil [x="\N\"#.to_owned());
        let text = graph(&top);
        assert!(text.contains(r#"[label="\"]; evil [x=\"\\N\\ (M-1)\nGOLD"#), "{text}");
        assert_eq!(escape("R&D\n"), "R&amp;D\u{fffd}");
    }
}
