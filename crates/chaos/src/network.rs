//! The network that the load begins with.

use std::fmt::Write as _;

use uuid::Uuid;

use crate::arena::Arena;
use crate::load::Keys;
use crate::random::Random;
use crate::reference::{LADDER, PLAN_YAML};

/// Members of the first day.
const MEMBERS: usize = 800;
/// Tops of trees among them.
const TOPS: usize = 3;

/// Migrates, puts ladder and plan in force, imports members and makes keys.
pub(crate) async fn prepare(arena: &Arena, seed: u64) -> anyhow::Result<(Keys, Vec<Uuid>)> {
    arena.lineage(&["migrate"]).await?;
    let ranks = arena.file("ranks.yaml", &format!("ranks: [{}]\n", LADDER.join(", ")))?;
    arena.lineage(&["ranks", "apply", &ranks.to_string_lossy()]).await?;
    let plan = arena.file("plan.yaml", PLAN_YAML)?;
    arena.lineage(&["plan", "apply", &plan.to_string_lossy()]).await?;
    let (csv, members) = network(&mut Random::new(seed, "network"));
    let csv = arena.file("members.csv", &csv)?;
    arena.lineage(&["members", "import", &csv.to_string_lossy()]).await?;
    let key = async |name, scopes| {
        let key = arena.lineage(&["keys", "create", name, "--scopes", scopes]).await?;
        anyhow::Ok(key.trim().to_owned())
    };
    let shop = key("shop", "events:write").await?;
    Ok((Keys { shop, office: key("office", "all").await? }, members))
}

/// A file of members: long lines and broad teams, most of them active.
fn network(random: &mut Random) -> (String, Vec<Uuid>) {
    let mut csv = "id,sponsor_id,status,rank,joined_at\n".to_owned();
    let mut members: Vec<Uuid> = Vec::with_capacity(MEMBERS);
    for number in 0..MEMBERS {
        let id = random.uuid();
        // A recent member as sponsor makes a deep tree, any member a broad one.
        let recent = if random.percent(60) { number.saturating_sub(12) } else { 0 };
        let sponsor = (number >= TOPS).then(|| *random.pick(&members[recent..]));
        let sponsor = sponsor.map(|sponsor| sponsor.to_string()).unwrap_or_default();
        let status =
            *random.pick(&["ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE", "INACTIVE", "SUSPENDED"]);
        let rank = *random.pick(&LADDER);
        // Writing to a text cannot fail.
        let _ = writeln!(csv, "{id},{sponsor},{status},{rank},");
        members.push(id);
    }
    (csv, members)
}
