//! `lineage members move` and `set`: one change at a time.

use std::process::Command;

use serde_json::json;

use crate::network::{ask, done, id, member, members, recorded, small_network, upline};

#[tokio::test]
async fn a_move_is_tried_made_and_undone() {
    let world = small_network().await;
    let to_otto = ["move", "M-3", "M-6", "--reason", "wrong sponsor on the form"];
    let tried = members(&world, &[&to_otto[..], &["--dry-run"]].concat()).await;
    assert_eq!(tried.code, Some(0), "{tried:?}");
    let table = "\
Who is above:
MEMBER      LEVEL BEFORE  LEVEL AFTER
Otto (M-6)             -            1  gained
Petr (M-2)             1            -  lost
Jana (M-1)             2            -  lost

Nothing was changed.
";
    assert!(tried.out.starts_with("Would move Eva (M-3).\n"), "{}", tried.out);
    assert!(tried.out.ends_with(table), "{}", tried.out);
    assert_eq!(upline(&world, 4, None).await, [3, 2, 1]);
    assert_eq!(recorded(&world, 3).await, [("ENROLMENT".to_owned(), None)]);

    let (moved, answer) =
        ask(&world, &[&to_otto[..], &["--on-behalf-of", "Jana Nováková"]].concat()).await;
    assert!(moved);
    assert_eq!(answer["moved"], true);
    assert_eq!(answer["old_sponsor_id"], id(2));
    assert_eq!(answer["new_sponsor_id"], id(6));
    assert_eq!(answer["subtree_size"], 2, "with Karel");
    assert_eq!(upline(&world, 4, None).await, [3, 6]);
    let (_, history) = ask(&world, &["history", "M-3"]).await;
    let recorded = &history["history"][1];
    assert_eq!(recorded["reason"], "wrong sponsor on the form");
    assert_eq!(recorded["on_behalf_of"], "Jana Nováková");
    assert!(recorded["actor"].as_str().unwrap().starts_with("role:"), "{recorded}");
    assert_eq!(recorded["effective_at"], answer["effective_at"]);

    // As an operator pastes it.
    let lineage = world.lineage();
    let undo = answer["undo"].as_str().unwrap().strip_prefix("lineage ").unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec \"$0\" {undo}")]).arg(lineage.get_program());
    command.envs(lineage.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let undone = done(command).await;
    assert_eq!(undone.code, Some(0), "{undone:?}");
    assert_eq!(upline(&world, 4, None).await, [3, 2, 1]);
    world.assert_tree_is_sound().await;
}

#[tokio::test]
async fn a_move_within_a_tree_says_who_keeps_which_level() {
    let world = small_network().await;
    let arguments = ["move", "M-3", "--new-sponsor", "M-7", "--reason", "test", "--dry-run"];
    let (fine, answer) = ask(&world, &arguments).await;
    assert!(fine);
    assert_eq!((&answer["moved"], &answer["dry_run"]), (&json!(false), &json!(true)));
    let changes: Vec<_> = answer["level_changes"].as_array().unwrap().iter().collect();
    let change = |place: usize| {
        let change = changes[place];
        (&change["member_id"], &change["level_before"], &change["level_after"], &change["change"])
    };
    let expected = [
        (json!(id(7)), json!(null), json!(1), json!("gained")),
        (json!(id(1)), json!(2), json!(2), json!("kept")),
        (json!(id(2)), json!(1), json!(null), json!("lost")),
    ];
    for (place, (member, before, after, kind)) in expected.iter().enumerate() {
        assert_eq!(change(place), (member, before, after, kind));
    }
    assert_eq!(changes.len(), expected.len());
}

/// Who tries to get above their own upline is worth knowing about.
#[tokio::test]
async fn a_circle_is_refused_and_recorded() {
    let world = small_network().await;
    let arguments = ["move", "M-2", &id(4), "--reason", "test"];
    let tried = members(&world, &[&arguments[..], &["--dry-run"]].concat()).await;
    assert_eq!(tried.code, Some(1), "{tried:?}");
    assert_eq!(recorded(&world, 2).await.len(), 1, "a dry run leaves nothing");

    let refused = members(&world, &[&arguments[..], &["--format", "json"]].concat()).await;
    assert_eq!(refused.code, Some(1));
    assert_eq!(refused.json()["moved"], false);
    assert_eq!(refused.json()["refusal"]["cause"], "own_descendant");
    assert!(refused.err.contains("not moved (own_descendant): the new sponsor"), "{refused:?}");
    let refusal = Some("own_descendant".to_owned());
    assert_eq!(recorded(&world, 2).await[1], ("MOVE".to_owned(), refusal));
    assert_eq!(upline(&world, 2, None).await, [1]);

    let itself = members(&world, &["move", "M-2", "M-2", "--reason", "test"]).await;
    assert!(itself.code == Some(1) && itself.err.contains("self_sponsor"), "{itself:?}");
    let nobody = members(&world, &["move", "M-2", &id(99), "--reason", "test"]).await;
    assert!(nobody.code == Some(1) && nobody.err.contains("unknown_sponsor"), "{nobody:?}");
    let nobody = members(&world, &["move", "M-2", "M-99", "--reason", "test"]).await;
    assert!(nobody.code == Some(1) && nobody.err.contains("\"M-99\""), "{nobody:?}");
}

#[tokio::test]
async fn a_move_has_one_destination_and_a_reason() {
    let world = small_network().await;
    for wrong in [
        &["move", "M-3", "--reason", "test"][..],
        &["move", "M-3", "M-6", "--top", "--reason", "test"],
        &["move", "M-3", "M-6", "--new-sponsor", "M-7", "--reason", "test"],
        &["move", "M-3", "M-6"],
        &["move", "M-3", "M-6", "--reason", ""],
        &["move", "M-3", "M-6", "--reason", "test", "--effective-at", "yesterday"],
    ] {
        assert_eq!(members(&world, wrong).await.code, Some(2), "{wrong:?}");
    }
    let top = members(&world, &["move", "M-3", "--top", "--reason", "own team"]).await;
    assert_eq!(top.code, Some(0), "{top:?}");
    assert_eq!(upline(&world, 4, None).await, [3]);
    world.assert_tree_is_sound().await;
}

#[tokio::test]
async fn a_status_and_a_rank_hold_from_their_moment_on() {
    let world = small_network().await;
    let set = ["set", "M-2", "--status", "SUSPENDED", "--rank", "GOLD", "--reason", "test"];
    let from_may = [&set[..], &["--effective-at", "2024-05-01"]].concat();
    let (tried, answer) = ask(&world, &[&from_may[..], &["--dry-run"]].concat()).await;
    assert!(tried);
    assert_eq!(answer["changed"], false);
    let (changed, answer) = ask(&world, &from_may).await;
    assert!(changed);
    assert_eq!((&answer["old_rank"], &answer["new_rank"]), (&json!("SILVER"), &json!("GOLD")));
    assert_eq!(answer["effective_at"], "2024-05-01T00:00:00Z");

    let state = async |as_of: &str| {
        let (_, shown) = ask(&world, &["show", "M-2", "--as-of", as_of]).await;
        assert_eq!(shown["id"], member(2).to_string());
        format!("{} {}", shown["status"].as_str().unwrap(), shown["rank"].as_str().unwrap())
    };
    assert_eq!(state("2024-04-30T23:59:59Z").await, "ACTIVE SILVER");
    assert_eq!(state("2024-05-01").await, "SUSPENDED GOLD");

    let (again, answer) = ask(&world, &set).await;
    assert!(!again);
    assert_eq!(answer["refusal"]["cause"], "nothing_changes");
    let wrong = members(&world, &["set", "M-2", "--rank", "EMPEROR", "--reason", "test"]).await;
    assert!(wrong.code == Some(1) && wrong.err.contains("MEMBER, SILVER, GOLD"), "{wrong:?}");
    assert_eq!(members(&world, &["set", "M-2", "--reason", "test"]).await.code, Some(2));
}
