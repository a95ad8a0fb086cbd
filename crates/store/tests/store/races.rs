//! Real connections racing for the tree and its history. After each race: no circle, the closure is what following
//! sponsors gives, and history ends in the present.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::amount::Amount;
use domain::history::{Change, Refusal, What};
use domain::ladder::Rank;
use domain::member::MemberStatus;
use domain::network::{Link, arrange};
use domain::reward_split::RewardSplit;
use domain::rule_set::Reads;
use futures_util::future::join_all;
use store::changes::{self, Order};
use store::database::Role;
use store::enrolment::{self, EnrolError, NewMember};
use store::import::{self, ImportedMember};
use store::settling::{self, Outcome, Walk};
use store::testing::World;
use store::{PgPool, StoreError, events, locks};
use uuid::Uuid;

use crate::model::id;
use crate::splitting::{sell, shares};

/// Rounds of a race; each begins at a slightly different distance.
const ROUNDS: usize = 12;

/// A small generator with a printed seed: a failing run can be repeated, as far as a race can.
struct Dice(AtomicU64);

impl Dice {
    fn new() -> Self {
        let seed = store::testing::seed();
        println!("seed {seed}; LINEAGE_TEST_SEED repeats it");
        Self(AtomicU64::new(seed))
    }

    fn below(&self, end: usize) -> usize {
        let step = 0x9e37_79b9_7f4a_7c15;
        let state = self.0.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from(mixed >> 33).unwrap() % end
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_micros(self.below(3000) as u64)).await;
    }
}

async fn enrol(pool: &PgPool, number: usize, sponsor: Option<usize>) -> Result<(), EnrolError> {
    let member = NewMember {
        id: id(number),
        external_id: None,
        name: None,
        sponsor_id: sponsor.map(id),
        status: MemberStatus::Active,
        rank: Rank(0),
        joined_at: None,
    };
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    enrolment::enrol(&mut tx, &member, "test").await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Moves a member now; the cause of a refusal.
async fn move_to(pool: &PgPool, member: usize, sponsor: Option<usize>) -> Result<(), &'static str> {
    let what = What::Move { new_sponsor_id: sponsor.map(id) };
    let changes = [Change { member_id: id(member), effective_at: None, what }];
    let order = Order { changes: &changes, actor: "test", on_behalf_of: None, reason: "race" };
    let mut tx = pool.begin().await.unwrap();
    let moved = changes::apply(&mut tx, &order).await.unwrap();
    tx.commit().await.unwrap();
    moved.map(|_| ()).map_err(|refusals| refusals[0].1.cause())
}

async fn count(world: &World, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&world.owner).await.unwrap()
}

/// A under B and B under A at the same moment: each alone is fine, together they are a circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_crossing_moves_one_is_refused() {
    let world = World::new().await;
    let pool = world.pool_as(Role::Ingest);
    let dice = Dice::new();
    for round in 0..ROUNDS {
        let [root, a, b] = [3 * round, 3 * round + 1, 3 * round + 2];
        enrol(&pool, root, None).await.unwrap();
        enrol(&pool, a, Some(root)).await.unwrap();
        enrol(&pool, b, Some(root)).await.unwrap();
        let (first, second) = tokio::join!(
            async {
                dice.pause().await;
                move_to(&pool, a, Some(b)).await
            },
            async {
                dice.pause().await;
                move_to(&pool, b, Some(a)).await
            }
        );
        let refused: Vec<_> = [first, second].into_iter().filter_map(Result::err).collect();
        assert_eq!(refused, ["own_descendant"], "round {round}");
    }
    let on_record = "select count(*) from member_changes where refusal = 'own_descendant'";
    assert_eq!(count(&world, on_record).await, ROUNDS as i64, "attempts at a circle are kept");
    world.assert_tree_is_sound().await;
}

/// Who is enrolled below a member that is being moved moves along.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_enrolment_below_a_moving_member_is_not_missed() {
    let world = World::new().await;
    let pool = world.pool_as(Role::Ingest);
    let dice = Dice::new();
    enrol(&pool, 0, None).await.unwrap();
    enrol(&pool, 1, None).await.unwrap();
    enrol(&pool, 2, Some(0)).await.unwrap();
    enrol(&pool, 3, Some(2)).await.unwrap();
    for round in 0..ROUNDS {
        let (moved, enrolled) = tokio::join!(
            async {
                dice.pause().await;
                move_to(&pool, 2, Some(1 - round % 2)).await
            },
            async {
                dice.pause().await;
                enrol(&pool, 4 + round, Some(3)).await
            }
        );
        moved.unwrap();
        enrolled.unwrap();
    }
    let below = "select count(*) from member_tree_paths where depth = 3";
    assert_eq!(count(&world, below).await, ROUNDS as i64, "everybody moved along each time");
    world.assert_tree_is_sound().await;
}

/// Enrolments share the lock: none waits for another, all arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_enrol_below_one_sponsor() {
    let world = World::new().await;
    let pools: Vec<PgPool> = (0..2).map(|_| world.pool_as(Role::Ingest)).collect();
    enrol(&pools[0], 0, None).await.unwrap();
    let enrollers = (0..8).map(|enroller| {
        let pool = &pools[enroller % 2];
        async move {
            for turn in 0..25 {
                enrol(pool, 1 + 25 * enroller + turn, Some(0)).await.unwrap();
            }
        }
    });
    join_all(enrollers).await;
    let mut conn = world.owner.acquire().await.unwrap();
    let size = store::tree::sizes(&mut conn, &[id(0)], None).await.unwrap()[0];
    assert_eq!((size.direct_members, size.network_size), (200, 200));
    world.assert_tree_is_sound().await;
}

/// Imports a chain of new members, of which the first stands below `sponsor`.
async fn import_chain(pool: &PgPool, numbers: std::ops::Range<usize>, sponsor: Option<usize>) {
    let member = |number: usize| ImportedMember {
        id: id(number),
        sponsor_id: if number == numbers.start { sponsor } else { Some(number - 1) }.map(id),
        external_id: None,
        name: None,
        status: MemberStatus::Active,
        rank: Rank(0),
        joined_at: None,
    };
    let members: Vec<ImportedMember> = numbers.clone().map(member).collect();
    let links: Vec<Link> =
        members.iter().map(|member| Link { id: member.id, sponsor: member.sponsor_id }).collect();
    let mut tx = pool.begin().await.unwrap();
    import::begin(&mut tx).await.unwrap();
    let sponsors: Vec<Uuid> = sponsor.map(id).into_iter().collect();
    let above = import::enrolled_uplines(&mut tx, &sponsors).await.unwrap();
    let arrangement = arrange(&links, |id| above.contains_key(&id)).unwrap();
    import::write(&mut tx, &members, &arrangement, &above, "test", |_| {}).await.unwrap();
    tx.commit().await.unwrap();
}

/// Imports, two of them into the empty tree at once, against enrolments and moves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imports_race_with_enrolments_and_moves() {
    let world = World::new().await;
    let (ops, ingest) = (world.pool_as(Role::Ops), world.pool_as(Role::Ingest));
    tokio::join!(import_chain(&ops, 0..20, None), import_chain(&ops, 20..40, None), async {
        enrol(&ingest, 40, None).await.unwrap();
    },);
    world.assert_tree_is_sound().await;
    let dice = Dice::new();
    tokio::join!(
        import_chain(&ops, 100..140, Some(19)),
        import_chain(&ops, 140..180, Some(39)),
        async {
            for turn in 0..20 {
                dice.pause().await;
                enrol(&ingest, 200 + turn, Some(10 + dice.below(10))).await.unwrap();
            }
        },
        async {
            for turn in 0..6 {
                dice.pause().await;
                move_to(&ingest, 19, Some(if turn % 2 == 0 { 40 } else { 18 })).await.unwrap();
            }
        },
    );
    assert_eq!(count(&world, "select count(*) from members").await, 41 + 80 + 20);
    world.assert_tree_is_sound().await;
}

/// Everybody does everything: random moves and enrolments on several connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_moves_and_enrolments_leave_a_sound_tree() {
    let world = World::new().await;
    let pool = world.pool_as(Role::Ingest);
    let dice = Dice::new();
    // A chain: of two members drawn, one is below the other, so that half of the first moves are to
    // one's own downline. In a flat tree hardly any would be.
    for number in 0..12_usize {
        enrol(&pool, number, number.checked_sub(1)).await.unwrap();
    }
    let causes: Vec<HashMap<&'static str, usize>> = join_all((0..4).map(|racer: usize| {
        let (pool, dice) = (&pool, &dice);
        async move {
            let mut causes: HashMap<&'static str, usize> = HashMap::new();
            for turn in 0..15 {
                if dice.below(3) == 0 {
                    let number = 100 + 20 * racer + turn;
                    enrol(pool, number, Some(dice.below(12))).await.unwrap();
                } else {
                    let sponsor = (dice.below(6) > 0).then(|| dice.below(12));
                    let moved = move_to(pool, dice.below(12), sponsor).await;
                    *causes.entry(moved.err().unwrap_or("moved")).or_default() += 1;
                }
            }
            causes
        }
    }))
    .await;
    let total = |cause| causes.iter().filter_map(|causes| causes.get(cause)).sum::<usize>();
    assert!(total("moved") > 5 && total("own_descendant") > 0, "a race about nothing: {causes:?}");
    world.assert_tree_is_sound().await;
}

/// A status that is taken away while a move below the member is under way counts for the move that
/// comes after it, whichever comes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_moves_below_who_has_just_left() {
    let world = World::new().await;
    let pool = world.pool_as(Role::Ingest);
    let dice = Dice::new();
    enrol(&pool, 0, None).await.unwrap();
    for round in 0..ROUNDS {
        let [upper, lower] = [1 + 2 * round, 2 + 2 * round];
        enrol(&pool, upper, None).await.unwrap();
        enrol(&pool, lower, Some(0)).await.unwrap();
        let what = What::State { status: Some(MemberStatus::Terminated), rank: None };
        let leaves = [Change { member_id: id(upper), effective_at: None, what }];
        let ((), moved) = tokio::join!(
            async {
                dice.pause().await;
                let order =
                    Order { changes: &leaves, actor: "test", on_behalf_of: None, reason: "race" };
                let mut tx = pool.begin().await.unwrap();
                changes::apply(&mut tx, &order).await.unwrap().unwrap();
                tx.commit().await.unwrap();
            },
            async {
                dice.pause().await;
                move_to(&pool, lower, Some(upper)).await
            }
        );
        let moved_first: bool = sqlx::query_scalar(
            "select exists (select from member_sponsors s join member_states t
                              on t.member_id = s.sponsor_id and t.status = 'TERMINATED'
                             where s.member_id = $1 and s.effective_at < t.effective_at)",
        )
        .bind(id(lower))
        .fetch_one(&world.owner)
        .await
        .unwrap();
        let expected = if moved_first { Ok(()) } else { Err("terminated_sponsor") };
        assert_eq!(moved, expected, "round {round}");
    }
    world.assert_tree_is_sound().await;
}

/// Settles a sale slowly; the split that it saw.
async fn settle(pool: &PgPool, sale: Uuid, dice: &Dice) -> Option<RewardSplit> {
    let mut tx = locks::begin_sharing_history(pool).await.unwrap();
    let reads = Reads { depth: 2, joined_at: false };
    let mut batch = settling::read(&mut tx, &[sale], reads).await.unwrap();
    let Walk::Found(inputs) = batch.events.remove(0).walk else { panic!("no upline") };
    dice.pause().await;
    let (breakage, lines, packed) = (Amount::ZERO, Vec::new(), inputs.pack());
    let outcome = Outcome { event_id: sale, plan_number: 1, breakage, inputs: packed, lines };
    assert_eq!(settling::claim(&mut tx, &[outcome]).await.unwrap(), [sale]);
    tx.commit().await.unwrap();
    inputs.split
}

/// A split of the very moment of a sale, while the sale settles: either the settlement sees it, or
/// it is refused. One of now never reaches the sale.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l8_a_split_races_with_the_settlement_of_its_sale() {
    let world = World::new().await;
    let (ingest, worker) = (world.pool_as(Role::Ingest), world.pool_as(Role::Worker));
    let dice = Dice::new();
    for round in 0..2 * ROUNDS {
        let [sponsor, seller] = [2 * round, 2 * round + 1];
        enrol(&ingest, sponsor, None).await.unwrap();
        enrol(&ingest, seller, Some(sponsor)).await.unwrap();
        let mut conn = ingest.acquire().await.unwrap();
        let sold_at = events::clock(&mut conn).await.unwrap();
        let sale = sell(&world, seller, sold_at).await;
        let is_dated = round % 4 > 0;
        let shared = shares("70", "50");
        let what = What::Split {
            money_to_self: Some(shared.money_to_self),
            points_to_self: Some(shared.points_to_self),
        };
        let effective_at = is_dated.then_some(sold_at);
        let wanted = [Change { member_id: id(sponsor), effective_at, what }];
        let order = Order { changes: &wanted, actor: "test", on_behalf_of: None, reason: "race" };
        let (seen, changed) = tokio::join!(
            async {
                // A change takes longer until it has its lock: sometimes it should come first.
                tokio::time::sleep(Duration::from_millis(dice.below(12) as u64)).await;
                settle(&worker, sale, &dice).await
            },
            async {
                dice.pause().await;
                let mut tx = ingest.begin().await.unwrap();
                let made = changes::apply(&mut tx, &order).await.unwrap();
                dice.pause().await;
                tx.commit().await.unwrap();
                made.map(|applied| applied.now).map_err(|refusals| refusals[0].1.cause())
            }
        );
        match changed {
            Ok(_) if is_dated => assert_eq!(seen, Some(shared), "round {round}"),
            Ok(now) => assert!(seen.is_none() && now > sold_at, "round {round}: {seen:?}"),
            Err(cause) => assert_eq!((cause, seen), ("settled_sales", None), "round {round}"),
        }
        assert!(is_dated || changed.is_ok(), "round {round}: {changed:?}");
    }
    let of_the_past = "select count(*) from member_changes where refusal = 'settled_sales'";
    let refused = count(&world, of_the_past).await;
    println!("{refused} of {} were refused", 2 * ROUNDS * 3 / 4);
}

/// A change that cannot get its lock says so after a bounded wait, and nothing has changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_gives_up_when_settlement_never_pauses() {
    let world = World::new().await;
    let pool = world.pool_as(Role::Ingest);
    enrol(&pool, 0, None).await.unwrap();
    enrol(&pool, 1, None).await.unwrap();
    // As the owner, whose transactions may stand still: PostgreSQL would end a worker's before.
    let settling = locks::begin_sharing_history(&world.owner).await.unwrap();
    let what = What::Move { new_sponsor_id: Some(id(0)) };
    let changes = [Change { member_id: id(1), effective_at: None, what }];
    let order = Order { changes: &changes, actor: "test", on_behalf_of: None, reason: "race" };
    let waits = async {
        let mut tx = pool.begin().await.unwrap();
        let error = changes::apply(&mut tx, &order).await.unwrap_err();
        tx.rollback().await.unwrap();
        error
    };
    // Others go on settling while it waits: an exclusive request holds them up half a second at a
    // time, never for good.
    let others = async {
        let worker = world.pool_as(Role::Worker);
        let mut turns = 0;
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            let tx = locks::begin_sharing_history(&worker).await.unwrap();
            tx.rollback().await.unwrap();
            turns += 1;
        }
        turns
    };
    let (error, turns) = tokio::join!(waits, others);
    assert!(matches!(error, StoreError::Locked("history")), "{error}");
    assert!(turns >= 5, "settlement came to a halt: {turns} turns");
    settling.rollback().await.unwrap();
    assert_eq!(count(&world, "select count(*) from member_sponsors").await, 2);
    assert_eq!(move_to(&pool, 1, Some(0)).await, Ok(()));
    world.assert_tree_is_sound().await;
}

/// Of a refused change: kind, member, cause, old and new sponsor, subtree size, actor, on whose
/// behalf, reason.
type Row = (String, Uuid, String, Option<Uuid>, Option<Uuid>, i32, String, String, String);

/// A move of many at once that is refused late leaves nothing but its record.
#[tokio::test]
async fn a_refused_order_changes_nothing() {
    let world = World::new().await;
    let pool = world.pool_as(Role::Ingest);
    for number in 0..4 {
        enrol(&pool, number, (number > 0).then(|| number - 1)).await.unwrap();
    }
    let to = |sponsor: usize| What::Move { new_sponsor_id: Some(id(sponsor)) };
    let change = |member, what| Change { member_id: id(member), effective_at: None, what };
    let changes = [change(3, to(0)), change(2, to(2)), change(1, to(9)), change(0, to(2))];
    let order = Order {
        changes: &changes,
        actor: "key:finance",
        on_behalf_of: Some("Jana"),
        reason: "repair",
    };
    let mut tx = pool.begin().await.unwrap();
    let refusals = changes::apply(&mut tx, &order).await.unwrap().unwrap_err();
    tx.commit().await.unwrap();
    assert_eq!(
        refusals,
        [
            (1, Refusal::SelfSponsor),
            (2, Refusal::UnknownSponsor { sponsor_id: id(9) }),
            (3, Refusal::OwnDescendant { sponsor_id: id(2) }),
        ]
    );
    let rows: Vec<Row> = sqlx::query_as(
        "select kind, member_id, refusal, old_sponsor_id, new_sponsor_id, subtree_size, actor,
                on_behalf_of, reason
           from member_changes order by member_id",
    )
    .fetch_all(&world.owner)
    .await
    .unwrap();
    let row = |member: usize, cause: &str, sponsor: usize, size| -> Row {
        let [kind, cause, actor, whose, why] =
            ["MOVE", cause, "key:finance", "Jana", "repair"].map(str::to_owned);
        let old = (member > 0).then(|| id(member - 1));
        (kind, id(member), cause, old, Some(id(sponsor)), size, actor, whose, why)
    };
    let expected = [
        row(0, "own_descendant", 2, 4),
        row(1, "unknown_sponsor", 9, 3),
        row(2, "self_sponsor", 2, 2),
    ];
    assert_eq!(rows, expected);
    assert_eq!(count(&world, "select count(*) from member_sponsors").await, 4);
    world.assert_tree_is_sound().await;
}
