//! Questions about the tree.

use serde_json::{Value, json};

use crate::client::{Api, member};
use crate::moving::{move_to, path, places, two_trees};

#[tokio::test]
async fn a_member_is_found_by_id_and_by_external_id() {
    let api = Api::start().await;
    let jana = json!({
        "id": member(1), "external_id": "17 850/ž", "name": "Jana Nováková", "sponsor_id": null,
        "joined_at": "2026-01-01T00:00:00Z", "status": "INACTIVE", "rank": "MEMBER",
    });
    api.world.ladder(&["MEMBER"]).await;
    assert_eq!(api.post("/v1/members", &jana).await, (201, jana.clone()));
    assert_eq!(api.get(&path(1, "")).await, (200, jana.clone()));
    assert_eq!(api.get("/v1/members?external_id=17%20850%2F%C5%BE").await, (200, jana));
    let by_id = format!("/v1/members?external_id={}", member(1));
    assert_eq!(api.get(&by_id).await.0, 404, "an id is no external id");
    assert_eq!(api.get("/v1/members?external_id=nobody").await.0, 404);
}

#[tokio::test]
async fn the_upline_and_downline_are_told_level_by_level() {
    let api = two_trees().await;
    let ask = async |number, what: &str| api.get(&path(number, what)).await.1;
    let page = ask(5, "/upline").await;
    assert_eq!(
        (places(&page, "upline"), &page["next"]),
        (vec![(1, 3), (2, 2), (3, 1)], &Value::Null)
    );
    assert_eq!(
        page["upline"][0],
        json!({
            "level": 1, "id": member(3), "external_id": null, "name": null, "sponsor_id": member(2),
            "joined_at": page["upline"][0]["joined_at"], "status": "ACTIVE", "rank": "MEMBER",
        })
    );
    let page = ask(5, "/upline?limit=2").await;
    assert_eq!((places(&page, "upline"), &page["next"]), (vec![(1, 3), (2, 2)], &json!(2)));
    let page = ask(5, "/upline?limit=2&after=2").await;
    assert_eq!((places(&page, "upline"), &page["next"]), (vec![(3, 1)], &Value::Null));

    let page = ask(1, "/downline").await;
    assert_eq!(places(&page, "downline"), [(1, 2), (2, 3), (2, 4), (3, 5)]);
    assert_eq!(page["next"], Value::Null);
    assert_eq!(places(&ask(1, "/downline?levels=1").await, "downline"), [(1, 2)]);
    let page = ask(1, "/downline?levels=2&limit=3").await;
    assert_eq!((places(&page, "downline").len(), &page["next"]), (3, &Value::Null));
    assert_eq!(places(&ask(5, "/downline?levels=5000&limit=1000").await, "downline"), []);

    let expected = json!({
        "direct_members": 1, "network_size": 4,
        "levels": [{"level": 1, "members": 1}, {"level": 2, "members": 2},
                   {"level": 3, "members": 1}],
    });
    assert_eq!(ask(1, "/levels").await, expected);
    let nobody = json!({"direct_members": 0, "network_size": 0, "levels": []});
    assert_eq!(ask(5, "/levels").await, nobody);
}

/// Whoever is there from the first page to the last is on exactly one page, on whichever side of
/// the page's border somebody is enrolled meanwhile.
#[tokio::test]
async fn pages_are_stable_while_members_are_enrolled() {
    let api = two_trees().await;
    for number in (20..60).step_by(2) {
        api.enrol(number, Some(1)).await;
        api.enrol(number + 100, Some(number)).await;
    }
    let mut met = Vec::new();
    let mut query = "/downline?limit=7".to_owned();
    let mut between = [21, 59].into_iter();
    loop {
        let (status, page) = api.get(&path(1, &query)).await;
        assert_eq!(status, 200, "{page}");
        let found = places(&page, "downline");
        let Some(next) = page["next"].as_str() else {
            met.extend(found);
            break;
        };
        assert_eq!(found.len(), 7);
        met.extend(found);
        query = format!("/downline?limit=7&after={next}");
        if met.len() == 14
            && let (Some(before), Some(behind)) = (between.next(), between.next())
        {
            api.enrol(before, Some(1)).await;
            api.enrol(behind, Some(1)).await;
        }
    }
    assert!(met.is_sorted(), "{met:?}");
    let before = met.len();
    met.dedup();
    assert_eq!(met.len(), before, "nobody twice");
    let (_, whole) = api.get(&path(1, "/downline")).await;
    let mut everybody = places(&whole, "downline");
    everybody.retain(|place| *place != (1, 21));
    assert_eq!(met, everybody, "only who came in before the border is missing");
    assert!(met.contains(&(1, 59)));
}

#[tokio::test]
async fn the_path_turns_at_the_lowest_member_above_both() {
    let api = two_trees().await;
    for (from, to, levels, path_members) in [
        (5, 4, json!([2, 1]), vec![5, 3, 2, 4]),
        (5, 1, json!([3, 0]), vec![5, 3, 2, 1]),
        (1, 3, json!([0, 2]), vec![1, 2, 3]),
        (3, 3, json!([0, 0]), vec![3]),
        (5, 7, json!([null, null]), vec![]),
    ] {
        let (status, answer) = api.get(&path(from, &format!("/path?to={}", member(to)))).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!((&answer["from"], &answer["to"]), (&json!(member(from)), &json!(member(to))));
        assert_eq!(json!([answer["levels_up"], answer["levels_down"]]), levels, "{from} {to}");
        assert_eq!(answer["connected"], !path_members.is_empty());
        let ids: Vec<&Value> =
            answer["path"].as_array().unwrap().iter().map(|entry| &entry["id"]).collect();
        let expected: Vec<Value> =
            path_members.iter().map(|number| json!(member(*number))).collect();
        assert_eq!(ids, expected.iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn above_counts_levels_and_nobody_is_above_themselves() {
    let api = two_trees().await;
    for (above, below, levels) in
        [(3, 5, Some(1)), (1, 5, Some(3)), (5, 3, None), (4, 5, None), (3, 3, None), (6, 5, None)]
    {
        let (status, answer) = api.get(&path(above, &format!("/above/{}", member(below)))).await;
        let expected = json!({"is_above": levels.is_some(), "levels": levels});
        assert_eq!((status, answer), (200, expected), "{above} {below}");
    }
}

/// Each question about a moment before a move is answered as it would have been then.
#[tokio::test]
async fn every_question_can_be_asked_as_of_a_moment() {
    let api = two_trees().await;
    let other = format!("/above/{}", member(5));
    let to = format!("/path?to={}", member(4));
    let questions = ["", "/upline", "/downline", "/levels", &other, &to];
    let mut before = Vec::new();
    for number in [1, 2, 3, 6, 7] {
        for question in questions {
            before.push((number, question, api.get(&path(number, question)).await.1));
        }
    }
    assert_eq!(api.post(&path(2, "/move"), &move_to(6)).await.0, 200);
    assert_eq!(api.post(&path(4, "/move"), &move_to(3)).await.0, 200);
    let gone = json!({"status": "TERMINATED", "rank": "GOLD", "reason": "left"});
    assert_eq!(api.patch(&path(3, ""), &gone).await.0, 200);
    let mut changed = 0;
    for (number, question, then) in before {
        let sign = if question.contains('?') { '&' } else { '?' };
        let asked = format!("{question}{sign}as_of=2025-01-01T01:00:00%2B01:00");
        let (status, mut answer) = api.get(&path(number, &asked)).await;
        if question.is_empty() {
            let as_of = answer.as_object_mut().unwrap().remove("as_of");
            assert_eq!(as_of, Some(json!("2025-01-01T00:00:00Z")));
        }
        assert_eq!((status, &answer), (200, &then), "{number} {question}");
        changed += u8::from(api.get(&path(number, question)).await.1 != then);
    }
    assert!(changed > 15, "the changes must show in the present: {changed}");
    let (_, page) = api.get(&path(6, "/downline?levels=3&as_of=2999-01-01T00:00:00Z")).await;
    assert_eq!(places(&page, "downline"), [(1, 2), (1, 7), (2, 3), (3, 4), (3, 5)]);
    let (_, page) = api.get(&path(1, "/downline?limit=2&as_of=2025-01-01T00:00:00Z")).await;
    let next = page["next"].as_str().unwrap();
    let rest = format!("/downline?limit=2&as_of=2025-01-01T00:00:00Z&after={next}");
    assert_eq!(places(&api.get(&path(1, &rest)).await.1, "downline"), [(2, 4), (3, 5)]);
}

#[tokio::test]
async fn wrong_questions_are_refused_with_the_parameter() {
    let api = two_trees().await;
    for (question, pointer) in [
        ("?as_of=yesterday", "/as_of"),
        ("?colour=red", "/colour"),
        ("/upline?limit=0", "/limit"),
        ("/upline?limit=1001", "/limit"),
        ("/upline?limit=many", "/limit"),
        ("/upline?after=-1", "/after"),
        ("/upline?after=top", "/after"),
        ("/downline?limit=1001", "/limit"),
        ("/downline?levels=0", "/levels"),
        ("/downline?levels=5001", "/levels"),
        ("/downline?levels=-1", "/levels"),
        ("/downline?after=1", "/after"),
        ("/downline?after=0.01920000-0000-7000-8000-000000000001", "/after"),
        ("/downline?as_of=2026", "/as_of"),
        ("/levels?as_of=2026", "/as_of"),
        ("/path", "/to"),
        ("/path?to=nobody", "/to"),
        ("/above/nobody", "/other"),
    ] {
        let (status, problem) = api.get(&path(1, question)).await;
        assert_eq!((status, &problem["pointer"]), (422, &json!(pointer)), "{question}: {problem}");
    }
    for (question, pointer) in [
        ("/v1/members", "/external_id"),
        ("/v1/members?external_id=a%00b", "/external_id"),
        ("/v1/members/nobody", "/id"),
        ("/v1/members/nobody/above/nobody", "/id"),
    ] {
        let (status, problem) = api.get(question).await;
        assert_eq!((status, &problem["pointer"]), (422, &json!(pointer)), "{question}: {problem}");
    }
}

#[tokio::test]
async fn an_unknown_member_is_named() {
    let api = two_trees().await;
    let to = format!("/path?to={}", member(200));
    let other = format!("/above/{}", member(200));
    let from = format!("/path?to={}", member(1));
    for (number, question) in [
        (200, ""),
        (200, "/upline"),
        (200, "/downline"),
        (200, "/levels"),
        (200, "/history"),
        (200, from.as_str()),
        (1, to.as_str()),
        (1, other.as_str()),
    ] {
        let (status, problem) = api.get(&path(number, question)).await;
        assert_eq!(status, 404, "{question}");
        assert!(problem["detail"].as_str().unwrap().contains(&member(200)), "{problem}");
    }
}
