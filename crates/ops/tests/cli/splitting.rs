//! `lineage members split`: how a member shares direct rewards.

use serde_json::json;

use crate::network::{ask, id, members, recorded, small_network};

#[tokio::test]
async fn a_split_is_tried_made_and_shown() {
    let world = small_network().await;
    let split = [
        "split",
        "M-2",
        "--monetary",
        "70/30",
        "--career-points",
        "50/50",
        "--reason",
        "as agreed",
    ];
    let from_may = [&split[..], &["--effective-at", "2024-05-01"]].concat();
    let tried = members(&world, &[&from_may[..], &["--dry-run"]].concat()).await;
    assert_eq!(tried.code, Some(0), "{tried:?}");
    let expected = "\
Would change how Petr (M-2) shares direct rewards, kept/given.
money          70/30, was 100/0
career points  50/50, was 100/0
effective      2024-05-01 00:00:00 UTC

Nothing was changed.
";
    assert_eq!(tried.out, expected);
    assert_eq!(recorded(&world, 2).await.len(), 1, "a dry run leaves nothing");

    let (changed, answer) =
        ask(&world, &[&from_may[..], &["--on-behalf-of", "Jana Nováková"]].concat()).await;
    assert!(changed);
    let shares =
        |to_self: &str, to_referral: &str| json!({"to_self": to_self, "to_referral": to_referral});
    let everything = shares("100.00", "0.00");
    let new =
        json!({"monetary": shares("70.00", "30.00"), "career_points": shares("50.00", "50.00")});
    let expected = json!({
        "changed": true, "member_id": id(2),
        "old": {"monetary": everything, "career_points": everything}, "new": new,
        "effective_at": "2024-05-01T00:00:00Z", "holds_until": null,
    });
    assert_eq!(answer, expected);

    // Before that one: holds until it, and leaves the points as they were then.
    let earlier = [
        "split",
        "M-2",
        "--monetary",
        "80/20",
        "--reason",
        "import",
        "--effective-at",
        "2024-03-01",
    ];
    let earlier = members(&world, &earlier).await;
    assert_eq!(earlier.code, Some(0), "{earlier:?}");
    assert!(earlier.out.contains("2024-05-01T00:00:00Z, when a later change"), "{}", earlier.out);
    for (as_of, text) in [
        ("2024-02-29T23:59:59Z", "money 100/0, career points 100/0"),
        ("2024-03-01", "money 80/20, career points 100/0"),
        ("2024-05-01", "money 70/30, career points 50/50"),
    ] {
        let shown = members(&world, &["show", "M-2", "--as-of", as_of]).await;
        assert!(shown.out.contains(text), "{as_of}: {}", shown.out);
    }
    let (_, shown) = ask(&world, &["show", "M-2"]).await;
    assert_eq!(shown["reward_split"], new);

    let history = members(&world, &["history", "M-2"]).await;
    let both = "money shared 70/30, was 100/0; career points shared 50/50, was 100/0";
    assert!(history.out.contains(both), "{}", history.out);
    let (_, history) = ask(&world, &["history", "M-2"]).await;
    let first = &history["history"][1];
    assert_eq!(
        (&first["kind"], &first["on_behalf_of"]),
        (&json!("SPLIT"), &json!("Jana Nováková"))
    );
    assert_eq!(
        (&first["old_money_to_self"], &first["new_money_to_self"]),
        (&json!("100.00"), &json!("70.00"))
    );
    assert_eq!(first["new_points_to_self"], "50.00");
}

#[tokio::test]
async fn a_split_that_cannot_be_is_refused_and_recorded() {
    let world = small_network().await;
    let split = ["split", "M-2", "--monetary", "100/0", "--reason", "test"];
    let (made, answer) = ask(&world, &split).await;
    assert!(!made);
    assert_eq!(answer["changed"], false);
    assert_eq!(answer["refusal"]["cause"], "nothing_changes");
    let refusal = Some("nothing_changes".to_owned());
    assert_eq!(recorded(&world, 2).await[1], ("SPLIT".to_owned(), refusal));
    let history = members(&world, &["history", "M-2"]).await;
    assert!(history.out.contains("money shared 100/0"), "what was asked for: {}", history.out);
    let nobody = members(&world, &["split", &id(99), "--monetary", "70/30", "--reason", "x"]).await;
    assert!(nobody.code == Some(1) && nobody.err.contains("unknown_member"), "{nobody:?}");

    for wrong in [
        &["split", "M-2", "--reason", "test"][..],
        &["split", "M-2", "--monetary", "70/30"],
        &["split", "M-2", "--monetary", "70/31", "--reason", "test"],
        &["split", "M-2", "--career-points", "half", "--reason", "test"],
    ] {
        let refused = members(&world, wrong).await;
        assert_eq!(refused.code, Some(2), "{wrong:?}: {refused:?}");
    }
}
