//! Checking a network against itself and against who is enrolled.

use std::collections::HashMap;

use domain::network::{self, Arrangement, DEPTH_MAX, Link};
use store::{PgConnection, StoreError, import};
use uuid::Uuid;

use super::file::MemberFile;
use super::flaws::{Flaws, quote};

/// How many ids one question to the database asks about.
const ASK_CHUNK: usize = 20_000;

/// A network that can be written.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Sponsors before those they sponsor.
    pub(crate) arrangement: Arrangement,
    /// The uplines of sponsors who are enrolled already.
    pub(crate) uplines_above: HashMap<Uuid, Vec<Uuid>>,
    /// Members without a sponsor.
    pub(crate) roots: usize,
    /// How far below its root the deepest member stands.
    pub(crate) deepest: usize,
}

/// Checks the members; what is wrong goes to `flaws`. `None` when they cannot be arranged.
pub(crate) async fn check(
    conn: &mut PgConnection,
    file: &MemberFile,
    flaws: &mut Flaws,
) -> Result<Option<Checked>, StoreError> {
    repeated_external_ids(file, flaws);
    enrolled_before(conn, file, flaws).await?;
    let sponsors = sponsors_elsewhere(file);
    let mut uplines_above = HashMap::with_capacity(sponsors.len());
    for chunk in sponsors.chunks(ASK_CHUNK) {
        uplines_above.extend(import::enrolled_uplines(conn, chunk).await?);
    }
    let links: Vec<Link> = file
        .members
        .iter()
        .map(|member| Link { id: member.id, sponsor: member.sponsor_id })
        .collect();
    match network::arrange(&links, |id| uplines_above.contains_key(&id)) {
        Ok(arrangement) => {
            let depths = depths(file, &arrangement, &uplines_above);
            for (place, depth) in depths.iter().enumerate() {
                if *depth > usize::from(DEPTH_MAX) {
                    let reason = format!("stands {depth} levels deep; the limit is {DEPTH_MAX}");
                    flaws.add(file.lines[place], reason);
                }
            }
            let roots = file.members.iter().filter(|member| member.sponsor_id.is_none()).count();
            let deepest = depths.into_iter().max().unwrap_or(0);
            Ok(Some(Checked { arrangement, uplines_above, roots, deepest }))
        }
        Err(found) => {
            for (place, flaw) in found {
                flaws.add(file.lines[place], flaw.to_string());
            }
            Ok(None)
        }
    }
}

fn repeated_external_ids(file: &MemberFile, flaws: &mut Flaws) {
    let mut first_lines: HashMap<&str, u64> = HashMap::new();
    for (member, line) in file.members.iter().zip(&file.lines) {
        let Some(external_id) = member.external_id.as_deref() else { continue };
        if let Some(first) = first_lines.get(external_id) {
            let external_id = quote(external_id);
            let reason = format!("external_id {external_id} stands on line {first} already");
            flaws.add(*line, reason);
        } else {
            first_lines.insert(external_id, *line);
        }
    }
}

async fn enrolled_before(
    conn: &mut PgConnection,
    file: &MemberFile,
    flaws: &mut Flaws,
) -> Result<(), StoreError> {
    for (members, lines) in file.members.chunks(ASK_CHUNK).zip(file.lines.chunks(ASK_CHUNK)) {
        let ids: Vec<Uuid> = members.iter().map(|member| member.id).collect();
        let external_ids: Vec<String> =
            members.iter().filter_map(|member| member.external_id.clone()).collect();
        let (mut taken, mut taken_external) = import::taken(conn, &ids, &external_ids).await?;
        taken.sort_unstable();
        taken_external.sort_unstable();
        for (member, line) in members.iter().zip(lines) {
            if taken.binary_search(&member.id).is_ok() {
                flaws.add(*line, format!("id {} is enrolled already", member.id));
            }
            if let Some(external_id) = &member.external_id
                && taken_external.binary_search(external_id).is_ok()
            {
                let external_id = quote(external_id);
                flaws.add(*line, format!("external_id {external_id} is enrolled already"));
            }
        }
    }
    Ok(())
}

/// Sponsors that the file names but does not contain.
fn sponsors_elsewhere(file: &MemberFile) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = file.members.iter().map(|member| member.id).collect();
    ids.sort_unstable();
    let sponsors = file.members.iter().filter_map(|member| member.sponsor_id);
    let mut elsewhere: Vec<Uuid> =
        sponsors.filter(|sponsor| ids.binary_search(sponsor).is_err()).collect();
    elsewhere.sort_unstable();
    elsewhere.dedup();
    elsewhere
}

/// How far below its root each member will stand.
fn depths(
    file: &MemberFile,
    arrangement: &Arrangement,
    uplines_above: &HashMap<Uuid, Vec<Uuid>>,
) -> Vec<usize> {
    let mut depths = vec![0; file.members.len()];
    for place in &arrangement.order {
        depths[*place] = match (arrangement.sponsor_places[*place], file.members[*place].sponsor_id)
        {
            (Some(sponsor), _) => depths[sponsor] + 1,
            // An upline begins with the sponsor, who stands as deep as there are others above.
            (None, Some(sponsor)) => uplines_above.get(&sponsor).map_or(0, Vec::len),
            (None, None) => 0,
        };
    }
    depths
}

#[cfg(test)]
mod tests {
    use domain::ladder::Ladder;
    use domain::period::Programme;

    use super::super::file;
    use super::super::rows::Meaning;
    use super::*;

    fn read(csv: &str) -> MemberFile {
        let ladder = Ladder::new(vec!["MEMBER".to_owned()]).unwrap();
        let programme = Programme::default();
        let meaning = Meaning { ladder: &ladder, programme: &programme };
        let mut flaws = Flaws::default();
        let file = file::read(csv.as_bytes(), meaning, &mut flaws, |_| ()).unwrap();
        assert_eq!(flaws.in_order(), []);
        file
    }

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn depths_count_from_the_root_through_enrolled_sponsors() {
        let file = read(&format!(
            "id,sponsor_id\n{},{}\n{},{}\n{},\n{},{}\n",
            id(1),
            id(2),
            id(2),
            id(90),
            id(3),
            id(4),
            id(3)
        ));
        assert_eq!(sponsors_elsewhere(&file), [id(90)]);
        let above = HashMap::from([(id(90), vec![id(90), id(91), id(92)])]);
        let links: Vec<Link> =
            file.members.iter().map(|m| Link { id: m.id, sponsor: m.sponsor_id }).collect();
        let arrangement = network::arrange(&links, |id| above.contains_key(&id)).unwrap();
        assert_eq!(depths(&file, &arrangement, &above), [4, 3, 0, 1]);
    }

    #[test]
    fn an_external_id_may_stand_there_once() {
        let file = read(&format!(
            "id,external_id\n{},a\n{},b\n{},a\n{},\n{},\n",
            id(1),
            id(2),
            id(3),
            id(4),
            id(5)
        ));
        let mut flaws = Flaws::default();
        repeated_external_ids(&file, &mut flaws);
        let flaws = flaws.in_order();
        assert_eq!(flaws.len(), 1);
        assert_eq!(flaws[0].line, 4);
        assert_eq!(flaws[0].reason, "external_id \"a\" stands on line 2 already");
    }
}
