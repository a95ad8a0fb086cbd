//! The closure table against a walk along the present sponsors.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::findings::Findings;
use super::promise::CLOSURE;

/// Members whose closure rows are compared at a time.
const PAGE: usize = 500;

pub(super) async fn check(conn: &mut PgConnection, findings: &mut Findings) -> sqlx::Result<()> {
    let sponsors: Vec<(Uuid, Option<Uuid>)> =
        sqlx::query_as("select id, sponsor_id from members order by id")
            .fetch_all(&mut *conn)
            .await?;
    let by_id: HashMap<Uuid, Option<Uuid>> = sponsors.iter().copied().collect();
    for page in sponsors.chunks(PAGE) {
        let ids: Vec<Uuid> = page.iter().map(|(id, _)| *id).collect();
        let rows: Vec<(Uuid, Uuid, i16)> = sqlx::query_as(
            "select descendant_id, ancestor_id, depth from member_tree_paths \
              where descendant_id = any($1) order by descendant_id, depth, ancestor_id",
        )
        .bind(&ids)
        .fetch_all(&mut *conn)
        .await?;
        let mut closure: HashMap<Uuid, Vec<(Uuid, i16)>> = HashMap::new();
        for (descendant, ancestor, depth) in rows {
            closure.entry(descendant).or_default().push((ancestor, depth));
        }
        for id in ids {
            let stored = closure.remove(&id).unwrap_or_default();
            match walk(&by_id, id) {
                Ok(walked) if walked == stored => {}
                Ok(walked) => findings.add(
                    CLOSURE,
                    format!("above {id}: {stored:?} in the closure, {walked:?} by the sponsors"),
                ),
                Err(problem) => findings.add(CLOSURE, problem),
            }
        }
    }
    let strays: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select descendant_id, ancestor_id from member_tree_paths p
          where not exists (select from members m where m.id = p.descendant_id)
          order by 1, 2 limit 100",
    )
    .fetch_all(conn)
    .await?;
    for (descendant, ancestor) in strays {
        findings.add(CLOSURE, format!("{descendant}, below {ancestor}, is not a member"));
    }
    Ok(())
}

/// The member at depth 0 and everybody above.
fn walk(sponsors: &HashMap<Uuid, Option<Uuid>>, id: Uuid) -> Result<Vec<(Uuid, i16)>, String> {
    let mut path = Vec::new();
    let mut next = Some(id);
    while let Some(here) = next {
        let depth = i16::try_from(path.len());
        let depth = depth.map_err(|_| format!("the sponsors above {id} run in a circle"))?;
        path.push((here, depth));
        next = *sponsors.get(&here).ok_or_else(|| format!("{here}, above {id}, is no member"))?;
    }
    Ok(path)
}
