//! The record of operators' actions: every command that changes something leaves exactly one row.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use store::keys::Scope;
use store::testing::World;
use uuid::Uuid;

use crate::dead_letters::failed_sales;
use crate::network::{Done, done, id, small_network};

/// Commands that change nothing that others rely on: they ask, or work in a database of their own.
const ASKING: [&str; 23] = [
    "actions list",
    "dead-letters list",
    "dead-letters show",
    "demo",
    "explain",
    "keys list",
    "members above",
    "members direct",
    "members downline",
    "members history",
    "members levels",
    "members path",
    "members show",
    "members tree",
    "members upline",
    // What it did stands in its own table, which it may have to make first.
    "migrate",
    "plan check",
    "plan list",
    "plan schema",
    "plan show",
    "program show",
    "ranks show",
    "verify",
];

/// Groups of such commands.
const ASKING_GROUPS: [&str; 2] = ["bench ", "scenario "];

/// The command whose row names an id that nobody knows before: `keys.rs` counts it.
const COUNTED_ELSEWHERE: [&str; 1] = ["keys create"];

const PLAN: &str = "plan: retail\nversion: '1'\nvalid_from: 2020-01-01\nrules:\n  - id: base\n    \
                    component: base\n    calculation: {type: unilevel, levels: [{level: 1, \
                    percentage: '5'}]}\n";

/// A command with how it ends.
#[derive(Clone)]
struct Case {
    /// The command's name, as in the list above.
    command: &'static str,
    arguments: Vec<String>,
    code: i32,
    action: &'static str,
    result: &'static str,
    subject: Option<String>,
    /// A part of the detail.
    detail: &'static str,
    /// The file that the digest is of, unless it is of the words.
    file: Option<PathBuf>,
}

async fn run(world: &World, arguments: &[&str]) -> Done {
    let mut command = world.lineage();
    command.args(arguments);
    done(command).await
}

/// Every recorded action as the list shows it.
async fn listed(world: &World, arguments: &[&str]) -> Vec<Value> {
    let all = ["actions", "list", "--format", "json"];
    let answer = run(world, &[&all[..], arguments].concat()).await;
    answer.json()["actions"].as_array().unwrap().clone()
}

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// The digest of words as `actions list --help` tells auditors to compute it.
pub(crate) fn digest_of_words(words: &[impl AsRef<str>]) -> String {
    let mut bytes = Vec::new();
    for word in words {
        let word = word.as_ref();
        bytes.extend((word.len() as u64).to_be_bytes());
        bytes.extend(word.as_bytes());
    }
    hex(Sha256::digest(bytes))
}

/// The commands without subcommands, by their full names.
async fn commands(world: &World) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut unseen = vec![String::new()];
    while let Some(path) = unseen.pop() {
        let words: Vec<&str> = path.split_whitespace().chain(["--help"]).collect();
        let help = run(world, &words).await.out;
        let below: Vec<&str> = help
            .lines()
            .skip_while(|line| *line != "Commands:")
            .skip(1)
            .take_while(|line| !line.is_empty())
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| *name != "help")
            .collect();
        if below.is_empty() {
            found.insert(path);
            continue;
        }
        unseen.extend(below.iter().map(|name| format!("{path} {name}").trim().to_owned()));
    }
    found
}

/// Files that commands read.
struct Files(PathBuf);

impl Files {
    fn new(world: &World) -> Self {
        let directory = std::env::temp_dir().join(world.name());
        std::fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A command that is done, to be told how it is recorded.
fn of(command: &'static str, arguments: &[&str]) -> Case {
    Case {
        command,
        arguments: command.split(' ').chain(arguments.iter().copied()).map(str::to_owned).collect(),
        code: 0,
        action: "",
        result: "done",
        subject: None,
        detail: "",
        file: None,
    }
}

#[expect(clippy::too_many_lines, reason = "a table, a case a command")]
fn cases(files: &Files) -> Vec<Case> {
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let with_file = |command, path: &Path, arguments: &[&str]| {
        let mut case = of(command, &[&[text(path).as_str()][..], arguments].concat());
        case.file = Some(path.to_owned());
        case
    };
    let plan = files.write("plan.yaml", PLAN);
    let flawed = files.write("flawed.yaml", &PLAN.replace("'5'", "'500'"));
    let overlapping = files.write("overlapping.yaml", &PLAN.replace("'5'", "'6'"));
    let ranks = files.write("ranks.yaml", "ranks: [MEMBER, SILVER, GOLD, RUBY]\n");
    let other_ranks = files.write("other.yaml", "ranks: [SILVER, MEMBER]\n");
    let no_ranks = files.write("none.yaml", "ranks: 7\n");
    let new_members = files.write("new.csv", &format!("id,sponsor_id\n{},{}\n", id(20), id(1)));
    let bad_members = files.write("bad.csv", &format!("id,sponsor_id\n{},{}\n", id(21), id(99)));
    let no_members = files.write("no.csv", "who\n1\n");
    let changes = files.write("changes.csv", &format!("id,rank\n{},GOLD\n", id(7)));
    let circle = files.write("circle.csv", &format!("id,sponsor_id\n{},{}\n", id(6), id(4)));
    let bad_changes = files.write("bad_changes.csv", &format!("id,rank\n{},EMPEROR\n", id(7)));
    let member = |number: u128| Some(id(number));
    let why = ["--reason", "as decided"];
    let with_why = |arguments: &[&'static str]| [arguments, &why].concat();
    let plan_1 = || Some("retail 1".to_owned());
    let retail = || Some("retail".to_owned());
    vec![
        Case {
            action: "programme.set",
            detail: "Europe/Prague, by month, from 2000-01-01",
            ..of("program set", &["--time-zone", "Europe/Prague"])
        },
        Case {
            action: "ranks.apply",
            detail: "MEMBER, SILVER, GOLD, RUBY",
            ..with_file("ranks apply", &ranks, &[])
        },
        Case {
            code: 1,
            action: "ranks.apply",
            result: "refused",
            detail: "",
            ..with_file("ranks apply", &other_ranks, &[])
        },
        Case {
            code: 1,
            action: "ranks.apply",
            result: "refused",
            detail: "none.yaml",
            ..with_file("ranks apply", &no_ranks, &[])
        },
        Case {
            action: "plan.apply",
            subject: plan_1(),
            detail: "as decided",
            ..with_file("plan apply", &plan, &why)
        },
        Case {
            action: "plan.apply",
            subject: plan_1(),
            detail: "already",
            ..with_file("plan apply", &plan, &why)
        },
        Case {
            code: 1,
            action: "plan.apply",
            result: "refused",
            detail: "1 flaw(s): line 7",
            ..with_file("plan apply", &flawed, &why)
        },
        Case {
            code: 1,
            action: "plan.apply",
            result: "refused",
            subject: plan_1(),
            detail: "overlapping.yaml",
            ..with_file("plan apply", &overlapping, &why)
        },
        Case {
            action: "plan.retire",
            subject: retail(),
            detail: "as decided",
            ..of("plan retire", &with_why(&["retail", "--from", "2030-01-01"]))
        },
        Case {
            code: 1,
            action: "plan.retire",
            result: "refused",
            subject: retail(),
            detail: "retired",
            ..of("plan retire", &with_why(&["retail", "--from", "2031-01-01"]))
        },
        Case {
            action: "member.import",
            detail: "1 member(s)",
            ..with_file("members import", &new_members, &[])
        },
        Case {
            code: 1,
            action: "member.import",
            result: "refused",
            detail: "1 flaw(s), the first on line 2",
            ..with_file("members import", &bad_members, &[])
        },
        Case {
            code: 1,
            action: "member.import",
            result: "refused",
            detail: "unknown column",
            ..with_file("members import", &no_members, &[])
        },
        Case {
            action: "member.move",
            subject: member(3),
            detail: "as decided",
            ..of("members move", &with_why(&["M-3", "M-6"]))
        },
        Case {
            code: 1,
            action: "member.move",
            result: "refused",
            subject: member(1),
            detail: "own_descendant: ",
            ..of("members move", &with_why(&["M-1", "M-2"]))
        },
        Case {
            code: 1,
            action: "member.move",
            result: "refused",
            subject: None,
            detail: "not enrolled",
            ..of("members move", &with_why(&["M-99", "M-2"]))
        },
        Case {
            action: "member.change",
            subject: member(2),
            detail: "as decided",
            ..of("members set", &with_why(&["M-2", "--rank", "GOLD"]))
        },
        Case {
            code: 1,
            action: "member.change",
            result: "refused",
            subject: member(2),
            detail: "nothing_changes: ",
            ..of("members set", &with_why(&["M-2", "--rank", "GOLD"]))
        },
        Case {
            code: 1,
            action: "member.change",
            result: "refused",
            subject: None,
            detail: "not known",
            ..of("members set", &with_why(&["M-2", "--rank", "EMPEROR"]))
        },
        Case {
            action: "member.split",
            subject: member(2),
            detail: "as decided",
            ..of("members split", &with_why(&["M-2", "--monetary", "70/30"]))
        },
        Case {
            code: 1,
            action: "member.split",
            result: "refused",
            subject: member(2),
            detail: "nothing_changes: ",
            ..of("members split", &with_why(&["M-2", "--monetary", "70/30"]))
        },
        Case {
            action: "member.changes_apply",
            detail: "as decided",
            ..with_file("members changes apply", &changes, &why)
        },
        Case {
            code: 1,
            action: "member.changes_apply",
            result: "refused",
            detail: "own_descendant: ",
            ..with_file("members changes apply", &circle, &why)
        },
        Case {
            code: 1,
            action: "member.changes_apply",
            result: "refused",
            detail: "1 flaw(s), the first on line 2",
            ..with_file("members changes apply", &bad_changes, &why)
        },
        Case {
            action: "ledger.export",
            detail: "everybody's lines posted to 2026-11, to standard",
            ..of("ledger export", &["--period", "2026-11"])
        },
        Case {
            action: "ledger.export",
            subject: member(1),
            detail: "one member's lines of all",
            ..of("ledger export", &["--member", &id(1)])
        },
    ]
}

/// On two dead events and one that waits.
fn dead_letter_cases(events: &[Uuid]) -> Vec<Case> {
    let [one, two, three] = [0, 1, 2].map(|n| events[n].to_string());
    let unknown = Uuid::from_u128(9).to_string();
    let why = ["--reason", "as decided"];
    let refused = |of: Case| Case { code: 1, result: "refused", ..of };
    let retry = |arguments: &[&str]| Case {
        action: "dead_letter.retry",
        ..of("dead-letters retry", &[arguments, &why].concat())
    };
    let discard = |arguments: &[&str]| Case {
        action: "dead_letter.discard",
        ..of("dead-letters discard", &[arguments, &why].concat())
    };
    vec![
        Case { subject: Some(one.clone()), detail: "as decided; 1 event(s): ", ..discard(&[&one]) },
        refused(Case {
            subject: Some(one.clone()),
            detail: "already_discarded: event ",
            ..discard(&[&one])
        }),
        refused(Case { detail: "already_discarded: event ", ..discard(&[&two, &one]) }),
        refused(Case {
            subject: Some(unknown.clone()),
            detail: "unknown_event: no event has the id ",
            ..discard(&[&unknown])
        }),
        Case { subject: Some(one.clone()), detail: "as decided; 1 event(s): ", ..retry(&[&one]) },
        Case { detail: "as decided; 2 event(s): ", ..retry(&[&one, &three, &one]) },
        refused(Case { detail: "unknown_event: no event has the id ", ..retry(&[&unknown, &one]) }),
        Case {
            detail: "as decided; 1 dead event(s) of the cause out_of_range",
            ..retry(&["--cause", "out_of_range"])
        },
        Case { detail: "as decided; 0 dead event(s)", ..retry(&["--all"]) },
        Case { detail: "as decided; 2 event(s): ", ..discard(&[&one, &two]) },
    ]
}

/// On a key that works.
fn key_cases(id: &str) -> Vec<Case> {
    let why = ["--reason", "as decided"];
    let about = |id: &str, of: Case| Case { subject: Some(id.to_owned()), ..of };
    let refused = |of: Case| Case { code: 1, result: "refused", ..of };
    let rotate = |id: &str, more: &[&str]| {
        let of = of("keys rotate", &[&[id][..], more, &why].concat());
        about(id, Case { action: "key.rotate", ..of })
    };
    let sign = |id: &str, more: &[&str]| {
        let of = of("keys signing-secret", &[&[id][..], more, &why].concat());
        about(id, Case { action: "key.signing_secret", ..of })
    };
    let revoke = |id: &str| {
        let of = of("keys revoke", &[&[id][..], &why].concat());
        about(id, Case { action: "key.revoke", ..of })
    };
    let none = "there is no such key";
    vec![
        Case { detail: "previous secret works until ", ..rotate(id, &[]) },
        refused(Case { detail: "two secrets work already", ..rotate(id, &[]) }),
        refused(Case { detail: none, ..rotate("nobody", &[]) }),
        Case { detail: "must be signed from now on; as decided", ..sign(id, &[]) },
        refused(Case { detail: "has a signing secret", ..sign(id, &[]) }),
        Case { detail: "removed: ", ..sign(id, &["--remove"]) },
        refused(Case { detail: "has no signing secret", ..sign(id, &["--remove"]) }),
        refused(Case { detail: none, ..sign("nobody", &[]) }),
        Case { detail: "revoked; as decided", ..revoke(id) },
        refused(Case { detail: "that still works", ..revoke(id) }),
    ]
}

#[tokio::test]
async fn every_changing_command_leaves_exactly_one_row() {
    let world = small_network().await;
    let files = Files::new(&world);
    let key = world.key(&[Scope::Read]).await;
    // The calendar is set first: it does not change under events.
    let mut cases = cases(&files);
    leave_one_row_each(&world, 0, &cases).await;
    let events = failed_sales(&world).await;
    let later = [dead_letter_cases(&events), key_cases(key.split('_').nth(1).unwrap())].concat();
    leave_one_row_each(&world, cases.len(), &later).await;
    cases.extend(later);

    let changing: BTreeSet<&str> = cases.iter().map(|case| case.command).collect();
    for command in commands(&world).await {
        let asks = ASKING.contains(&command.as_str())
            || ASKING_GROUPS.iter().any(|group| command.starts_with(group));
        let is_counted =
            changing.contains(command.as_str()) || COUNTED_ELSEWHERE.contains(&command.as_str());
        assert!(asks != is_counted, "{command}: does it change something? Then it needs a case");
    }
}

/// Runs commands, each of which is to leave one row beside those that there are.
async fn leave_one_row_each(world: &World, mut rows: usize, cases: &[Case]) {
    let login: String =
        sqlx::query_scalar("select session_user::text").fetch_one(&world.owner).await.unwrap();
    for Case { arguments, code, action, result, subject, detail, file, .. } in cases {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let done = run(world, &words).await;
        assert_eq!(done.code, Some(*code), "{arguments:?}: {done:?}");
        rows += 1;
        let actions = listed(world, &[]).await;
        assert_eq!(actions.len(), rows, "{arguments:?}: one row each: {actions:#?}");
        let last = actions.last().unwrap();
        let said = (last["action"].as_str(), last["result"].as_str(), last["subject"].as_str());
        assert_eq!(said, (Some(*action), Some(*result), subject.as_deref()), "{arguments:?}");
        assert!(last["detail"].as_str().unwrap().contains(detail), "{arguments:?}: {last}");
        let digest = match file {
            Some(path) => hex(Sha256::digest(std::fs::read(path).unwrap())),
            None => digest_of_words(arguments),
        };
        assert_eq!(last["arguments"], digest, "{arguments:?}");
        assert_eq!(
            (&last["actor"], &last["login"]),
            (&format!("role:{login}").into(), &login.clone().into())
        );
    }
}

#[tokio::test]
async fn what_is_only_tried_and_what_never_arrived_is_no_action() {
    let world = small_network().await;
    let files = Files::new(&world);
    let path = |name: &str, text: &str| files.write(name, text).to_str().unwrap().to_owned();
    let plan = path("plan.yaml", PLAN);
    let members = path("new.csv", &format!("id\n{}\n", id(20)));
    let changes = path("changes.csv", &format!("id,rank\n{},GOLD\n", id(7)));
    let circle = path("circle.csv", &format!("id,sponsor_id\n{},{}\n", id(1), id(4)));
    let absent = files.0.join("absent").to_str().unwrap().to_owned();
    let (try_it, why) = ("--dry-run", ["--reason", "test"]);
    for (arguments, code) in [
        (vec!["plan", "apply", &plan, try_it], 0),
        (vec!["plan", "retire", "retail", "--from", "2030-01-01", try_it, why[0], why[1]], 1),
        (vec!["members", "import", &members, try_it], 0),
        (vec!["members", "move", "M-3", "M-6", try_it, why[0], why[1]], 0),
        (vec!["members", "move", "M-1", "M-2", try_it, why[0], why[1]], 1),
        (vec!["members", "set", "M-2", "--rank", "GOLD", try_it, why[0], why[1]], 0),
        (vec!["members", "split", "M-2", "--monetary", "70/30", try_it, why[0], why[1]], 0),
        (vec!["members", "changes", "apply", &changes, try_it, why[0], why[1]], 0),
        (vec!["members", "changes", "apply", &circle, try_it, why[0], why[1]], 1),
        (vec!["plan", "apply", &absent], 1),
        (vec!["ranks", "apply", &absent], 1),
        (vec!["members", "import", &absent], 1),
        (vec!["members", "move", "M-3", "M-6"], 2),
        (vec!["dead-letters", "discard", &id(1)], 2),
        (vec!["dead-letters", "retry"], 2),
        (vec!["dead-letters", "list"], 0),
        (vec!["keys", "rotate", "nobody", "--grace", "x"], 2),
        (vec!["keys", "list"], 0),
        (vec!["plan", "list"], 0),
    ] {
        let done = run(&world, &arguments).await;
        assert_eq!(done.code, Some(code), "{arguments:?}: {done:?}");
        assert_eq!(listed(&world, &[]).await, Vec::<Value>::new(), "{arguments:?}");
    }
}

#[tokio::test]
async fn the_record_says_for_whom_and_can_be_searched() {
    let world = small_network().await;
    let for_jana = ["--reason", "as decided", "--on-behalf-of", "Jana Nováková"];
    for arguments in [
        &["members", "move", "M-3", "M-6"][..],
        &["members", "move", "M-1", "M-2"],
        &["members", "set", "M-2", "--rank", "GOLD"],
    ] {
        run(&world, &[arguments, &for_jana].concat()).await;
    }
    let files = Files::new(&world);
    let plan = files.write("plan.yaml", PLAN).to_str().unwrap().to_owned();
    run(&world, &[&["plan", "apply", &plan][..], &for_jana].concat()).await;
    let retire = ["plan", "retire", "retail", "--from", "2030-01-01"];
    run(&world, &[&retire[..], &for_jana].concat()).await;

    let numbers = async |arguments: &[&str]| -> Vec<String> {
        let actions = listed(&world, arguments).await;
        assert!(actions.iter().all(|action| action["on_behalf_of"] == "Jana Nováková"));
        actions.iter().map(|action| action["action"].as_str().unwrap().to_owned()).collect()
    };
    let all = ["member.move", "member.move", "member.change", "plan.apply", "plan.retire"];
    assert_eq!(numbers(&[]).await, all);
    assert_eq!(numbers(&["--action", "plan"]).await, all[3..]);
    assert_eq!(numbers(&["--action", "plan.apply"]).await, all[3..4]);
    assert_eq!(numbers(&["--action", "pla"]).await, all[..0]);
    assert_eq!(numbers(&["--result", "refused"]).await, all[1..2]);
    assert_eq!(numbers(&["--result", "failed"]).await, all[..0]);
    assert_eq!(numbers(&["--subject", &id(2)]).await, all[2..3]);
    assert_eq!(numbers(&["--actor", "key:x"]).await, all[..0]);
    assert_eq!(numbers(&["--since", "2000-01-01"]).await, all);
    assert_eq!(numbers(&["--since", "2999-01-01"]).await, all[..0]);
    let page = ["actions", "list", "--limit", "2", "--format", "json"];
    let first = run(&world, &page).await.json();
    let next = first["next"].to_string();
    let rest = run(&world, &[&page[..], &["--after", &next, "--limit", "9"]].concat()).await;
    assert_eq!(rest.code, Some(2), "one limit");
    assert_eq!(numbers(&["--after", &next]).await, all[2..]);

    let csv = run(&world, &["actions", "list", "--format", "csv"]).await.out;
    assert!(csv.starts_with("number,recorded_at,action,subject,result,detail,actor,"), "{csv}");
    assert_eq!(csv.lines().count(), 6);
    let table = run(&world, &["actions", "list", "--limit", "3"]).await;
    assert!(table.out.contains("Jana Nováková") && table.out.contains("own_descendant"));
    assert!(table.err.contains("--after"), "{table:?}");
}

/// A login without the operators' rights is on record where it may write to the record.
#[tokio::test]
async fn what_postgresql_refuses_is_on_record_too() {
    let world = small_network().await;
    // Whoever revokes it from the operators' role, as an administrator may.
    sqlx::query("revoke insert on commission_plans from lineage_ops")
        .execute(&world.owner)
        .await
        .unwrap();
    sqlx::query(
        "do $$ declare name text; begin
           for name in select attname from pg_attribute
                        where attrelid = 'commission_plans'::regclass and attnum > 0 loop
             execute format('revoke insert (%I) on commission_plans from lineage_ops', name);
           end loop; end $$",
    )
    .execute(&world.owner)
    .await
    .unwrap();
    let files = Files::new(&world);
    let plan = files.write("plan.yaml", PLAN).to_str().unwrap().to_owned();
    let refused = run(&world, &["plan", "apply", &plan]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let actions = listed(&world, &[]).await;
    assert_eq!(actions.len(), 1, "{actions:#?}");
    assert_eq!(
        (&actions[0]["result"], &actions[0]["action"]),
        (&"refused".into(), &"plan.apply".into())
    );
    assert!(actions[0]["detail"].as_str().unwrap().contains("permission denied"));
    // A record that cannot be written is said, and an export not made without it.
    sqlx::query(
        "revoke insert (actor, on_behalf_of, action, subject, arguments_digest, result, detail) \
         on operator_actions from lineage_ops",
    )
    .execute(&world.owner)
    .await
    .unwrap();
    let refused = run(&world, &["members", "move", "M-3", "M-6", "--reason", "test"]).await;
    assert_eq!(refused.code, Some(1), "no change without its row: {refused:?}");
    assert!(refused.err.contains("is not on record"), "{refused:?}");
    let export = run(&world, &["ledger", "export"]).await;
    assert_eq!((export.code, export.out.as_str()), (Some(1), ""), "{export:?}");
    world.assert_tree_is_sound().await;
}
