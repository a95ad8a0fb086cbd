use proptest::prelude::*;
use proptest::test_runner::Config;

use super::*;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn day(day: i64) -> DateTime<Utc> {
    let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    start + chrono::TimeDelta::days(day)
}

const ACTIVE: State = State { status: MemberStatus::Active, rank: Rank(0) };

/// A network of members 1, 2, … with these first sponsors (0: none), all active.
fn recorded(sponsors: &[u128]) -> Recorded {
    let mut recorded = Recorded::default();
    for (number, sponsor) in (1..).zip(sponsors) {
        let sponsor = (*sponsor > 0).then(|| id(*sponsor));
        recorded.sponsors.insert(id(number), BTreeMap::from([(BEGINNING_OF_TIME, sponsor)]));
        recorded.states.insert(id(number), BTreeMap::from([(BEGINNING_OF_TIME, ACTIVE)]));
        let nothing_shared = BTreeMap::from([(BEGINNING_OF_TIME, RewardSplit::default())]);
        recorded.splits.insert(id(number), nothing_shared);
    }
    recorded
}

fn moved(member: u128, sponsor: u128, at: i64) -> Change {
    let new_sponsor_id = (sponsor > 0).then(|| id(sponsor));
    let what = What::Move { new_sponsor_id };
    Change { member_id: id(member), effective_at: Some(day(at)), what }
}

fn state(member: u128, status: Option<MemberStatus>, rank: Option<u8>, at: i64) -> Change {
    let what = What::State { status, rank: rank.map(Rank) };
    Change { member_id: id(member), effective_at: Some(day(at)), what }
}

fn percent(text: &str) -> Percentage {
    Percentage::parse(text).unwrap()
}

fn split(member: u128, money: Option<&str>, points: Option<&str>, at: i64) -> Change {
    let (money_to_self, points_to_self) = (money.map(percent), points.map(percent));
    let what = What::Split { money_to_self, points_to_self };
    Change { member_id: id(member), effective_at: Some(day(at)), what }
}

fn causes(changes: &[Change], recorded: &Recorded) -> Vec<(usize, &'static str)> {
    match plan(changes, recorded, day(100)) {
        Ok(_) => Vec::new(),
        Err(refusals) => {
            refusals.iter().map(|(place, refusal)| (*place, refusal.cause())).collect()
        }
    }
}

/// 1 ← 2 ← 3, and 4 beside them.
const CHAIN: [u128; 4] = [0, 1, 2, 0];

#[test]
fn a_move_says_what_it_replaces() {
    let mut known = recorded(&CHAIN);
    known.sponsors.get_mut(&id(3)).unwrap().insert(day(20), Some(id(1)));
    let planned = plan(&[moved(3, 4, 10)], &known, day(100)).unwrap();
    let expected = PlannedMove {
        member_id: id(3),
        effective_at: Some(day(10)),
        old_sponsor_id: Some(id(2)),
        new_sponsor_id: Some(id(4)),
        holds_until: Some(day(20)),
    };
    assert_eq!(planned, Plan { moves: vec![expected], ..Plan::default() });
    let now = Change { effective_at: None, ..moved(3, 0, 0) };
    let planned = plan(&[now], &known, day(100)).unwrap().moves[0];
    assert_eq!((planned.effective_at, planned.holds_until), (None, None));
    assert_eq!((planned.old_sponsor_id, planned.new_sponsor_id), (Some(id(1)), None));
}

#[test]
fn impossible_changes_are_refused_by_name() {
    let mut known = recorded(&CHAIN);
    let left = State { status: MemberStatus::Terminated, rank: Rank(0) };
    known.states.get_mut(&id(4)).unwrap().insert(day(50), left);
    let terminated = Some(MemberStatus::Terminated);
    for (change, cause) in [
        (moved(3, 3, 1), "self_sponsor"),
        (moved(2, 3, 1), "own_descendant"),
        (moved(1, 3, 1), "own_descendant"),
        (moved(3, 9, 1), "unknown_sponsor"),
        (moved(9, 1, 1), "unknown_member"),
        (state(9, terminated, None, 1), "unknown_member"),
        (moved(3, 2, 1), "nothing_changes"),
        (moved(3, 4, 50), "terminated_sponsor"),
        (moved(3, 1, 101), "future"),
        (state(4, terminated, None, 50), "same_moment"),
        (state(4, terminated, Some(0), 51), "nothing_changes"),
        (split(9, Some("70"), None, 1), "unknown_member"),
        (split(3, Some("70"), None, 101), "future"),
        (split(3, Some("100.0"), None, 1), "nothing_changes"),
    ] {
        assert_eq!(causes(&[change], &known), [(0, cause)], "{change:?}");
    }
    assert_eq!(causes(&[moved(3, 4, 49)], &known), [], "the sponsor left a day later");
}

#[test]
fn changes_of_one_moment_are_simultaneous() {
    let known = recorded(&CHAIN);
    // 2 moves to the top and 1 below it: neither order alone would do for the second.
    assert_eq!(causes(&[moved(1, 2, 5), moved(2, 0, 5)], &known), []);
    assert_eq!(causes(&[moved(1, 2, 5)], &known), [(0, "own_descendant")]);
    let crossing = [moved(1, 4, 5), moved(4, 3, 5)];
    assert_eq!(causes(&crossing, &known), [(0, "own_descendant"), (1, "own_descendant")]);
    let terminated = state(4, Some(MemberStatus::Terminated), None, 5);
    assert_eq!(causes(&[moved(3, 4, 5), terminated], &known), [(0, "terminated_sponsor")]);
    let both = [moved(3, 4, 5), moved(3, 1, 5), moved(2, 4, 5)];
    assert_eq!(causes(&both, &known), [(1, "contradiction")]);
}

#[test]
fn a_change_in_the_past_is_checked_against_what_came_later() {
    let mut known = recorded(&CHAIN);
    known.sponsors.get_mut(&id(4)).unwrap().insert(day(20), Some(id(3)));
    // 1 below 4 is fine on day 10, but on day 20 4 moves below 3, who is below 1.
    let refusals = plan(&[moved(1, 4, 10)], &known, day(100)).unwrap_err();
    let later = Refusal::CircleLater { at: day(20), member_id: id(4) };
    assert_eq!(refusals, [(0, later)]);
    // Unless 1 has moved away by then.
    assert_eq!(causes(&[moved(1, 4, 10), moved(1, 0, 19)], &known), []);
}

#[test]
fn status_and_rank_change_each_by_itself() {
    let known = recorded(&CHAIN);
    let changes = [
        state(2, Some(MemberStatus::Suspended), None, 10),
        state(2, None, Some(2), 5),
        state(2, None, Some(3), 10),
        state(2, Some(MemberStatus::Active), None, 20),
    ];
    let planned = plan(&changes, &known, day(100)).unwrap().states;
    let values: Vec<_> = planned.iter().map(|p| (p.old, p.new, p.holds_until)).collect();
    let with = |status, rank| State { status, rank: Rank(rank) };
    let (five, ten) = (with(MemberStatus::Active, 2), with(MemberStatus::Suspended, 3));
    assert_eq!(
        values,
        [
            (ACTIVE, five, Some(day(10))),
            (five, ten, Some(day(20))),
            (ten, with(MemberStatus::Active, 3), None),
        ]
    );
    let twice = [state(2, None, Some(2), 5), state(2, None, Some(3), 5)];
    assert_eq!(causes(&twice, &known), [(1, "contradiction")]);
}

/// A row of history holds status and rank, so one that was about the rank would bring the old status
/// back, and a suspended member would be paid from then on.
#[test]
fn no_recorded_change_undoes_silently_what_is_said_before_it() {
    let mut known = recorded(&CHAIN);
    let silver = State { status: MemberStatus::Active, rank: Rank(1) };
    known.states.get_mut(&id(2)).unwrap().insert(day(20), silver);
    let suspended = |at| state(2, Some(MemberStatus::Suspended), None, at);
    let refusals = plan(&[suspended(10)], &known, day(100)).unwrap_err();
    assert_eq!(refusals, [(0, Refusal::UndoneLater { at: day(20), part: "status" })]);
    assert_eq!(causes(&[suspended(10), suspended(21)], &known), []);
    assert_eq!(causes(&[state(2, None, Some(2), 10)], &known), [], "the rank is said on day 20");
    // Who was terminated on day 20 was not merely kept as before.
    known
        .states
        .get_mut(&id(2))
        .unwrap()
        .insert(day(20), State { status: MemberStatus::Terminated, rank: Rank(0) });
    assert_eq!(causes(&[suspended(10)], &known), []);
    assert_eq!(causes(&[state(2, None, Some(2), 10)], &known), [(0, "undone_later")]);
}

/// Money and career points are shared each by itself; what is not said stays as it was then.
#[test]
fn a_split_holds_until_the_next_recorded_one() {
    let mut known = recorded(&CHAIN);
    let shares = |money, points| RewardSplit {
        money_to_self: percent(money),
        points_to_self: percent(points),
    };
    known.splits.get_mut(&id(2)).unwrap().insert(day(20), shares("100", "50"));
    let changes = [
        split(2, Some("80"), None, 5),
        split(2, Some("70"), None, 10),
        split(2, None, Some("25.5"), 10),
        split(2, None, Some("100"), 30),
    ];
    let planned = plan(&changes, &known, day(100)).unwrap().splits;
    let values: Vec<_> = planned.iter().map(|p| (p.old, p.new, p.holds_until)).collect();
    assert_eq!(
        values,
        [
            (shares("100", "100"), shares("80", "100"), Some(day(10))),
            (shares("80", "100"), shares("70", "25.5"), Some(day(20))),
            // What day 20 says is the whole split, although it takes the money of before back.
            (shares("100", "50"), shares("100", "100"), None),
        ]
    );
    assert_eq!(causes(&[split(2, None, Some("50"), 20)], &known), [(0, "same_moment")]);
    assert_eq!(causes(&[split(2, None, Some("50"), 21)], &known), [(0, "nothing_changes")]);
    let twice = [split(2, Some("70"), None, 5), split(2, Some("60"), None, 5)];
    assert_eq!(causes(&twice, &known), [(1, "contradiction")]);
    // A split moves nobody, so nothing of the tree stands in its way.
    known.sponsors.clear();
    assert_eq!(causes(&[split(2, Some("70"), None, 5)], &known), []);
}

#[test]
fn the_tree_has_a_bottom() {
    let depth = u128::from(DEPTH_MAX);
    // A chain as deep as it may be, and two beside it.
    let mut sponsors: Vec<u128> = (0..=depth).collect();
    sponsors.extend([0, 0]);
    let known = recorded(&sponsors);
    let (deepest, other) = (depth + 1, depth + 2);
    assert_eq!(causes(&[moved(other, deepest - 1, 1)], &known), []);
    assert_eq!(causes(&[moved(other, deepest, 1)], &known), [(0, "too_deep")]);
    // Whoever moves below a circle of others is not told that it is too deep there.
    let circle = [moved(other, 2, 1), moved(1, 2, 1)];
    assert_eq!(causes(&circle, &known), [(1, "own_descendant")]);
}

#[test]
fn levels_are_compared_for_everybody_above() {
    let change = |ancestor, before, after| LevelChange { ancestor_id: id(ancestor), before, after };
    assert_eq!(
        level_changes(&[id(1), id(2), id(3)], &[id(4), id(3)]),
        [
            change(4, None, Some(1)),
            change(3, Some(3), Some(2)),
            change(1, Some(1), None),
            change(2, Some(2), None),
        ]
    );
}

/// The network at a moment, by brute force.
fn has_circle(members: &[Vec<(i64, u128)>], at: i64) -> bool {
    let sponsor = |member: u128| {
        let rows = &members[usize::try_from(member).unwrap() - 1];
        rows.iter().filter(|(since, _)| *since <= at).max_by_key(|(since, _)| *since).unwrap().1
    };
    (1..=members.len() as u128).any(|member| {
        let mut above = sponsor(member);
        for _ in 0..members.len() {
            if above == 0 {
                return false;
            }
            above = sponsor(above);
        }
        above != 0
    })
}

proptest! {
    #![proptest_config(Config { cases: 512, failure_persistence: None, ..Config::default() })]

    /// Whatever is recorded and asked for in whatever order: a request is refused for a circle
    /// exactly when the network would have one at some moment.
    #[test]
    fn a_circle_is_found_exactly_when_there_is_one(
        first in prop::collection::vec(any::<prop::sample::Index>(), 6),
        moves in prop::collection::vec((1..=6_u128, 0..=6_u128, 1..8_i64, any::<bool>()), 1..9),
    ) {
        // Member n is first below somebody before them, or nobody.
        let sponsors: Vec<u128> =
            (0..6).map(|n| first[n].index(n + 1) as u128).collect();
        let mut members: Vec<Vec<(i64, u128)>> =
            sponsors.iter().map(|sponsor| vec![(-1, *sponsor)]).collect();
        let mut known = recorded(&sponsors);
        let mut asked = Vec::new();
        for (member, sponsor, at, is_new) in moves {
            let rows = &mut members[usize::try_from(member).unwrap() - 1];
            let taken = rows.iter().any(|(since, _)| *since == at);
            if taken || member == sponsor {
                continue;
            }
            rows.push((at, sponsor));
            if is_new {
                asked.push(moved(member, sponsor, at));
            } else {
                let rows = members.clone();
                // Only what makes no circle by itself can be on record.
                let recorded_only = rows.iter().enumerate().map(|(n, rows)| {
                    let new = |at: i64| asked.iter().any(|change: &Change| {
                        change.member_id == id(n as u128 + 1) && change.effective_at == Some(day(at))
                    });
                    rows.iter().copied().filter(|(at, _)| *at < 0 || !new(*at)).collect()
                });
                let recorded_only: Vec<Vec<(i64, u128)>> = recorded_only.collect();
                if (0..9).any(|at| has_circle(&recorded_only, at)) {
                    members[usize::try_from(member).unwrap() - 1].pop();
                    continue;
                }
                let row = (sponsor > 0).then(|| id(sponsor));
                known.sponsors.get_mut(&id(member)).unwrap().insert(day(at), row);
            }
        }
        let expected = (0..9).any(|at| has_circle(&members, at));
        let found = causes(&asked, &known);
        let circle = found.iter().any(|(_, cause)| {
            ["own_descendant", "circle_later"].contains(cause)
        });
        prop_assert_eq!(circle, expected, "{:?} {:?}", found, members);
    }
}
