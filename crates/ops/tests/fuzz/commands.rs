//! The command line, given spoilt files: it exits with 0 or 1, says why, and what is refused leaves
//! the database as it was.

use std::process::Stdio;

use store::testing::World;
use store::testing::fuzz::{Chance, Effort, announced_seed};

use crate::spoilt::{files, root, spoilt};

/// Cases that take seconds.
const CASES: usize = 60;

/// Everything that these commands may write.
async fn stored(world: &World) -> String {
    let query = "select concat_ws(',', (select count(*) from members), \
        (select count(*) from member_tree_paths), (select count(*) from member_states), \
        (select count(*) from member_sponsors), (select count(*) from commission_plans), \
        (select count(*) from commission_rules), (select string_agg(r::text, ',' order by r) from ranks r))";
    sqlx::query_scalar(query).fetch_one(&world.owner).await.unwrap()
}

#[tokio::test]
async fn fuzz_the_command_line_refuses_spoilt_files_and_changes_nothing() {
    let mut chance = Chance::new(announced_seed("-p ops --test fuzz"));
    let world = World::new().await;
    world.ladder(&["MEMBER", "SILVER", "GOLD"]).await;
    let sample = root().join("deploy/sample");
    let first = |file: &str, lines: usize| -> Vec<u8> {
        let text = std::fs::read_to_string(sample.join(file)).unwrap();
        text.split_inclusive('\n').take(lines).collect::<String>().into_bytes()
    };
    let (members, changes) = (vec![first("members.csv", 40)], vec![first("changes.csv", 40)]);
    let yaml = [files(&sample, "yaml"), files(&root().join("scenarios/basics"), "yaml")].concat();
    let file = std::env::temp_dir().join(format!("{}.txt", world.name()));
    let path = file.to_str().unwrap();
    for case in Effort::cases(CASES).run() {
        let reason = ["--reason", "a test"];
        let commands: [(&[&str], &[Vec<u8>]); 6] = [
            (&["members", "import", path], &members),
            (&["members", "changes", "apply", path, reason[0], reason[1]], &changes),
            (&["plan", "check", path], &yaml),
            (&["plan", "apply", path, reason[0], reason[1]], &yaml),
            (&["ranks", "apply", path], &yaml),
            (&["scenario", "run", path], &yaml),
        ];
        let (arguments, valid) = chance.of(&commands);
        let bytes = spoilt(&mut chance, valid);
        std::fs::write(&file, &bytes).unwrap();
        let before = stored(&world).await;
        let mut command = world.lineage();
        let done = command.args(*arguments).stdin(Stdio::null()).output().unwrap();
        let after = stored(&world).await;
        let said = String::from_utf8_lossy(&done.stderr);
        let begin: String = String::from_utf8_lossy(&bytes).chars().take(3_000).collect();
        let context = format!("case {case}: {arguments:?}\n{begin}\nsaid {said}");
        assert!(matches!(done.status.code(), Some(0 | 1)), "{:?} {context}", done.status);
        assert!(!said.contains("panicked"), "{context}");
        if done.status.code() == Some(1) {
            assert!(!said.trim().is_empty() || !done.stdout.is_empty(), "{context}");
            assert_eq!(before, after, "refused, and yet changed: {context}");
        }
    }
    std::fs::remove_file(file).unwrap();
}
