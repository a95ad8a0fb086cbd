//! `lineage members import`: everything or nothing, every bad line named.

use std::io::Write as _;
use std::path::PathBuf;

use store::testing::World;

/// A file that is gone with the test.
struct File(PathBuf);

impl File {
    fn new(world: &World, text: &str) -> Self {
        let name = format!("{}.csv", world.name());
        let path = std::env::temp_dir().join(name);
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn id(number: u32) -> String {
    format!("01920000-0000-7000-8000-{number:012}")
}

async fn import(world: &World, text: &str) -> (bool, String) {
    let file = File::new(world, text);
    let mut command = world.lineage();
    command.args(["members", "import"]).arg(&file.0);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

async fn members(world: &World) -> i64 {
    sqlx::query_scalar("select count(*) from members").fetch_one(&world.owner).await.unwrap()
}

#[tokio::test]
async fn a_file_with_flaws_changes_nothing_and_every_bad_line_is_named() {
    let world = World::new().await;
    let text = format!(
        "id,sponsor_id,status,rank,joined_at\n\
         {a},,ACTIVE,MEMBER,2024-01-01\n\
         {a},,,,\n\
         {b},{orphan},,,\n\
         {c},{d},,,\n\
         {d},{c},,,\n\
         {e},{e},,,\n\
         nonsense,,,,\n\
         {f},,RETIRED,,\n\
         {g},,,EMPEROR,\n\
         {h},,,,yesterday\n",
        a = id(1),
        b = id(2),
        orphan = id(99),
        c = id(3),
        d = id(4),
        e = id(5),
        f = id(6),
        g = id(7),
        h = id(8),
    );
    let (success, said) = import(&world, &text).await;
    assert!(!success);
    for line in 3..=11 {
        assert!(said.contains(&format!("line {line}:")), "line {line} is not named:\n{said}");
    }
    for reason in ["twice", "neither in the file nor enrolled", "circle", "own sponsor"] {
        assert!(said.contains(reason), "{reason:?} is not said:\n{said}");
    }
    assert!(!said.contains("line 2:"), "line 2 is good:\n{said}");
    assert_eq!(members(&world).await, 0);
}

#[tokio::test]
async fn rows_may_come_in_any_order_and_in_several_files() {
    let world = World::new().await;
    let [top, middle, seller, later] = [1, 2, 3, 4].map(id);
    let first = format!("id,sponsor_id\n{seller},{middle}\n{middle},{top}\n{top},\n");
    let (success, said) = import(&world, &first).await;
    assert!(success, "{said}");
    let (success, said) = import(&world, &format!("sponsor_id,id\n{seller},{later}\n")).await;
    assert!(success, "{said}");
    let depth: i16 = sqlx::query_scalar(
        "select depth from member_tree_paths where ancestor_id = $1::uuid and descendant_id = $2::uuid",
    )
    .bind(top.parse::<uuid::Uuid>().unwrap())
    .bind(later.parse::<uuid::Uuid>().unwrap())
    .fetch_one(&world.owner)
    .await
    .unwrap();
    assert_eq!(depth, 3);
    // The indexes that the first import built afterwards are those of the migration.
    let indexes: Vec<String> = sqlx::query_scalar(
        "select indexname::text from pg_indexes where tablename = 'member_tree_paths' order by 1",
    )
    .fetch_all(&world.owner)
    .await
    .unwrap();
    assert_eq!(indexes, ["member_tree_paths_down", "member_tree_paths_up"]);
    let (success, said) = import(&world, &first).await;
    assert!(!success && said.contains("line 2:"), "enrolled already:\n{said}");
    assert_eq!(members(&world).await, 4);
}
