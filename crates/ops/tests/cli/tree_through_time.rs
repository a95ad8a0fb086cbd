//! `lineage members tree` and the questions about the tree, as it is and as it stood.

use serde_json::{Value, json};
use store::testing::World;

use crate::network::{ask, id, members, small_network};

/// The small network, in which Eva moved from Petr to Otto in May 2024.
async fn moved_network() -> World {
    let world = small_network().await;
    let to_otto = ["move", "M-3", "M-6", "--reason", "test", "--effective-at", "2024-05-01"];
    let moved = members(&world, &to_otto).await;
    assert_eq!(moved.code, Some(0), "{moved:?}");
    world
}

const BEFORE: [&str; 2] = ["--as-of", "2024-04-30"];

#[tokio::test]
async fn a_tree_is_drawn_as_it_is_and_as_it_stood() {
    let world = moved_network().await;
    let drawn = members(&world, &["tree", "M-1", "--levels", "2"]).await;
    assert_eq!(drawn.code, Some(0), "{drawn:?}");
    let now = "\
Jana (M-1)  GOLD ACTIVE  direct 2, network 3
├── Petr (M-2)  SILVER ACTIVE  direct 1, network 1
│   └── 00000000-0000-0000-0000-000000000005  MEMBER ACTIVE  direct 0, network 0
└── Lída (M-7)  MEMBER ACTIVE  direct 0, network 0
";
    assert_eq!(drawn.out, now);
    let drawn = members(&world, &[&["tree", "M-1", "--levels", "2"], &BEFORE[..]].concat()).await;
    let before = "\
Jana (M-1)  GOLD ACTIVE  direct 2, network 5
├── Petr (M-2)  SILVER ACTIVE  direct 2, network 3
│   ├── Eva (M-3)  MEMBER ACTIVE  direct 1, network 1
│   │   └── … 1 more below
│   └── 00000000-0000-0000-0000-000000000005  MEMBER ACTIVE  direct 0, network 0
└── Lída (M-7)  MEMBER ACTIVE  direct 0, network 0
";
    assert_eq!(drawn.out, before);
    let same = members(&world, &["tree", "M-1", "--levels", "2", "--format", "table"]).await;
    assert_eq!(same.out, now);
}

#[tokio::test]
async fn a_tree_is_written_for_tools() {
    let world = moved_network().await;
    let csv = members(&world, &["tree", "M-6", "--format", "csv"]).await;
    let [three, four, six] = [3, 4, 6].map(id);
    let expected = format!(
        "level,id,sponsor_id,external_id,name,rank,status,direct_members,network_size\n\
         0,{six},,M-6,Otto,SILVER,ACTIVE,1,2\n\
         1,{three},{six},M-3,Eva,MEMBER,ACTIVE,1,1\n\
         2,{four},{three},,Karel,MEMBER,ACTIVE,0,0\n"
    );
    assert_eq!(csv.out, expected);
    let (_, nested) = ask(&world, &["tree", "M-6", "--levels", "1"]).await;
    assert_eq!(nested["network_size"], 2);
    assert_eq!(nested["downline"][0]["external_id"], "M-3");
    assert_eq!(nested["downline"][0]["more_below"], 1);
    let dot = members(&world, &["tree", "M-6", "--format", "dot"]).await.out;
    assert!(dot.starts_with("digraph downline {\n") && dot.ends_with("\n}\n"), "{dot}");
    assert!(dot.contains(&format!("  \"{six}\" -> \"{three}\";\n")), "{dot}");
}

#[tokio::test]
async fn a_tree_that_is_too_large_is_cut_and_says_so() {
    let world = small_network().await;
    let cut = members(&world, &["tree", "M-1", "--limit", "3"]).await;
    assert_eq!(cut.code, Some(0));
    let expected = "\
Jana (M-1)  GOLD ACTIVE  direct 2, network 5
├── Petr (M-2)  SILVER ACTIVE  direct 2, network 3
│   └── … 3 more below
└── Lída (M-7)  MEMBER ACTIVE  direct 0, network 0
";
    assert_eq!(cut.out, expected);
    assert!(cut.err.contains("only the first 3 members were drawn"), "{}", cut.err);
    let whole = members(&world, &["tree", "M-1", "--limit", "6"]).await;
    assert_eq!(whole.err, "");
}

fn places(list: &Value) -> Vec<(i64, String)> {
    let place = |member: &Value| {
        (member["level"].as_i64().unwrap(), member["id"].as_str().unwrap().to_owned())
    };
    list.as_array().unwrap().iter().map(place).collect()
}

#[tokio::test]
async fn lists_are_of_the_moment_that_is_asked_about() {
    let world = moved_network().await;
    let (_, now) = ask(&world, &["upline", &id(4)]).await;
    assert_eq!(places(&now["upline"]), [(1, id(3)), (2, id(6))]);
    let (_, before) = ask(&world, &[&["upline", &id(4)], &BEFORE[..]].concat()).await;
    assert_eq!(places(&before["upline"]), [(1, id(3)), (2, id(2)), (3, id(1))]);
    assert_eq!(before["next"], json!(null));
    let (_, direct) = ask(&world, &[&["direct", "M-2"], &BEFORE[..]].concat()).await;
    assert_eq!(places(&direct["downline"]), [(1, id(3)), (1, id(5))]);
    assert_eq!(direct["downline"][0]["sponsor_id"], id(2), "Eva's sponsor of then");
    let (_, levels) = ask(&world, &[&["levels", "M-1"], &BEFORE[..]].concat()).await;
    let counts = [(1, 2), (2, 2), (3, 1)];
    let counts = counts.map(|(level, members)| json!({"level": level, "members": members}));
    assert_eq!(levels, json!({"direct_members": 2, "network_size": 5, "levels": counts}));
    let (_, levels) = ask(&world, &["levels", "M-1"]).await;
    assert_eq!(levels["network_size"], 3);
    let text = members(&world, &["upline", &id(4)]).await.out;
    let expected = format!(
        "LEVEL  ID                                    EXTERNAL ID  NAME  RANK    STATUS\n    \
         1  {}  M-3          Eva   MEMBER  ACTIVE\n    \
         2  {}  M-6          Otto  SILVER  ACTIVE\n",
        id(3),
        id(6)
    );
    assert_eq!(text, expected);
}

#[tokio::test]
async fn a_long_downline_comes_in_pages() {
    let world = small_network().await;
    let first = ["downline", "M-1", "--levels", "2", "--limit", "2"];
    let page = members(&world, &[&first[..], &["--format", "json"]].concat()).await;
    assert_eq!(places(&page.json()["downline"]), [(1, id(2)), (1, id(7))]);
    let next = page.json()["next"].as_str().unwrap().to_owned();
    assert_eq!(next, format!("1.{}", id(7)));
    assert!(page.err.contains(&format!("--after {next}")), "{}", page.err);
    let (_, rest) = ask(&world, &[&first[..], &["--after", &next]].concat()).await;
    assert_eq!(places(&rest["downline"]), [(2, id(3)), (2, id(5))]);
    assert_eq!(rest["next"], json!(null));
    let wrong = members(&world, &["downline", "M-1", "--after", "somewhere"]).await;
    assert_eq!(wrong.code, Some(2));
}

#[tokio::test]
async fn two_members_are_connected_as_they_were() {
    let world = moved_network().await;
    let (_, now) = ask(&world, &["path", &id(4), "M-7"]).await;
    assert_eq!(now["connected"], false);
    assert_eq!(now["path"], json!([]));
    let (_, before) = ask(&world, &[&["path", &id(4), "M-7"], &BEFORE[..]].concat()).await;
    assert_eq!((&before["levels_up"], &before["levels_down"]), (&json!(3), &json!(1)));
    let way = before["path"].as_array().unwrap().iter();
    let ids: Vec<&str> = way.map(|member| member["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [4, 3, 2, 1, 7].map(id));

    let above = members(&world, &["above", "M-2", &id(4)]).await;
    assert_eq!(above.code, Some(1));
    assert_eq!(above.out, "Petr (M-2) does not stand above Karel (…000000000004).\n");
    let above = members(&world, &[&["above", "M-2", &id(4)], &BEFORE[..]].concat()).await;
    assert_eq!(above.code, Some(0));
    assert_eq!(
        above.out,
        "Petr (M-2) stands 2 level(s) above Karel (…000000000004) as of 2024-04-30.\n"
    );
    let nobody = members(&world, &["above", "M-2", "M-99"]).await;
    assert_eq!(nobody.code, Some(2), "neither yes nor no: {nobody:?}");
    let (_, answer) = ask(&world, &["above", "M-6", &id(4)]).await;
    assert_eq!(answer, json!({"is_above": true, "levels": 2}));
    let nobody = members(&world, &["show", "M-99"]).await;
    assert!(nobody.code == Some(1) && nobody.err.contains("\"M-99\""), "{nobody:?}");
}
