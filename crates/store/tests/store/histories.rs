//! L8 under random histories: enrolments, moves, changes of status, rank and reward split, sales and
//! settlements in any order, against a model in memory.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use domain::amount::{Amount, Percentage};
use domain::history::{BEGINNING_OF_TIME, Change, What};
use domain::inputs::Inputs;
use domain::ladder::Rank;
use domain::member::MemberStatus;
use domain::reward_split::RewardSplit;
use domain::rule_set::Reads;
use domain::sale::{OrderKind, SourceType};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use store::changes::{self, Order};
use store::database::Role;
use store::enrolment::{self, NewMember};
use store::events::{self, Details, Facts, NewEvent};
use store::settling::{self, Outcome, Sought, Walk};
use store::testing::World;
use store::tree::{self, Place};
use store::{PgConnection, PgPool, explaining, reward_splits, tree_audit};
use uuid::Uuid;

use crate::model::{Model, Moment, id};

/// How many levels a settlement walks: fewer than some uplines have.
const READS: Reads = Reads { depth: 3, joined_at: true };

/// One thing that happens. Members are chosen among those enrolled by then; `None` moments are now.
#[derive(Clone, Debug)]
enum Step {
    Enrol {
        sponsor: Option<usize>,
        status: MemberStatus,
        rank: u8,
    },
    /// One or several, in one order.
    Move(Vec<(usize, Option<usize>, Option<i64>)>),
    SetState {
        member: usize,
        status: Option<MemberStatus>,
        rank: Option<u8>,
        minute: Option<i64>,
    },
    Share {
        member: usize,
        money: Option<u8>,
        points: Option<u8>,
        minute: Option<i64>,
    },
    Sell {
        seller: usize,
        minute: Option<i64>,
    },
    /// Settles every sale whose number leaves no remainder: the order of settlement is not that of
    /// the sales.
    Settle {
        every: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let member = || 0..1000_usize;
    let sponsor = || prop::option::weighted(0.9, 0..1000_usize);
    let minute = || prop::option::weighted(0.7, 0..60_i64);
    let status = || prop::sample::select(MemberStatus::ALL.to_vec());
    let share = || prop::sample::select(vec![0, 50, 100_u8]);
    let step = prop_oneof![
        4 => (sponsor(), status(), 0..3_u8)
            .prop_map(|(sponsor, status, rank)| Step::Enrol { sponsor, status, rank }),
        4 => prop::collection::vec((member(), sponsor(), minute()), 1).prop_map(Step::Move),
        2 => prop::collection::vec((member(), sponsor(), minute()), 2..5).prop_map(Step::Move),
        3 => (member(), prop::option::of(status()), prop::option::of(0..3_u8), minute())
            .prop_map(|(member, status, rank, minute)| {
                Step::SetState { member, status, rank, minute }
            }),
        // Few values, so that some changes change nothing; everything kept, too.
        3 => (member(), prop::option::of(share()), prop::option::of(share()), minute())
            .prop_map(|(member, money, points, minute)| {
                Step::Share { member, money, points, minute }
            }),
        4 => (member(), minute()).prop_map(|(seller, minute)| Step::Sell { seller, minute }),
        1 => (2..5_usize).prop_map(|every| Step::Settle { every }),
    ];
    prop::collection::vec(step, 20..60)
}

#[test]
fn l8_whatever_happens_in_whatever_order_a_sale_sees_its_own_moment() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let seed = store::testing::seed();
    println!("seed {seed}; LINEAGE_TEST_SEED repeats it");
    let config = Config {
        cases: 16,
        failure_persistence: None,
        max_shrink_iters: 60,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    runner
        .run(&steps(), |steps| {
            runtime.block_on(async {
                let world = World::new().await;
                let mut history = History::begin(&world);
                for step in &steps {
                    history.take(step).await;
                }
                history.check().await;
            });
            Ok(())
        })
        .unwrap();
}

/// A database and the model that it must agree with.
struct History<'a> {
    world: &'a World,
    /// With the rights of ingest, which enrols and moves.
    ingest: PgPool,
    /// With the rights of the worker, which settles.
    worker: PgPool,
    model: Model,
    /// Sales by number: their seller and moment, and what they were settled by.
    sales: Vec<(usize, Moment, Option<Inputs>)>,
}

fn minute(minute: i64) -> Moment {
    let start: Moment = "2026-01-01T00:00:00Z".parse().unwrap();
    start + TimeDelta::minutes(minute)
}

fn sale_id(number: usize) -> Uuid {
    domain::sale::event_id("test", &number.to_string())
}

impl<'a> History<'a> {
    fn begin(world: &'a World) -> Self {
        Self {
            world,
            ingest: world.pool_as(Role::Ingest),
            worker: world.pool_as(Role::Worker),
            model: Model::default(),
            sales: Vec::new(),
        }
    }

    async fn now(&self) -> Moment {
        let mut conn = self.ingest.acquire().await.unwrap();
        events::clock(&mut conn).await.unwrap()
    }

    async fn take(&mut self, step: &Step) {
        let known = self.model.len();
        if known == 0 {
            return self.enrol(None, (MemberStatus::Active, Rank(0))).await;
        }
        match *step {
            Step::Enrol { sponsor, status, rank } => {
                self.enrol(sponsor.map(|any| any % known), (status, Rank(rank))).await;
            }
            Step::Move(ref moves) => {
                let moves: Vec<_> = moves
                    .iter()
                    .map(|(member, sponsor, at)| {
                        (member % known, sponsor.map(|any| any % known), at.map(minute))
                    })
                    .collect();
                let changes: Vec<Change> = moves
                    .iter()
                    .map(|(member, sponsor, effective_at)| Change {
                        member_id: id(*member),
                        effective_at: *effective_at,
                        what: What::Move { new_sponsor_id: sponsor.map(id) },
                    })
                    .collect();
                let (done, now) = self.change(&changes).await;
                let moves: Vec<_> = moves
                    .into_iter()
                    .map(|(member, sponsor, at)| (member, sponsor, at.unwrap_or(now)))
                    .collect();
                assert_eq!(self.model.move_all(&moves), done, "{moves:?}");
            }
            Step::SetState { member, status, rank, minute: at } => {
                if status.is_none() && rank.is_none() {
                    return;
                }
                let (member, rank) = (member % known, rank.map(Rank));
                let (effective_at, what) = (at.map(minute), What::State { status, rank });
                let change = Change { member_id: id(member), effective_at, what };
                let (done, now) = self.change(&[change]).await;
                let at = effective_at.unwrap_or(now);
                let before = self.model.state(member, at);
                let state = (status.unwrap_or(before.0), rank.unwrap_or(before.1));
                assert_eq!(self.model.set_state(member, state, at), done, "{step:?}");
            }
            Step::Share { member, money, points, minute: at } => {
                if money.is_none() && points.is_none() {
                    return;
                }
                let member = member % known;
                let (money_to_self, points_to_self) = (money.map(percent), points.map(percent));
                let (effective_at, what) =
                    (at.map(minute), What::Split { money_to_self, points_to_self });
                let change = Change { member_id: id(member), effective_at, what };
                let (done, now) = self.change(&[change]).await;
                let at = effective_at.unwrap_or(now);
                let before = self.model.split(member, at);
                let split = (money.unwrap_or(before.0), points.unwrap_or(before.1));
                assert_eq!(self.model.set_split(member, split, at), done, "{step:?}");
            }
            Step::Sell { seller, minute: at } => self.sell(seller % known, at).await,
            Step::Settle { every } => self.settle(every).await,
        }
    }

    async fn enrol(&mut self, sponsor: Option<usize>, state: (MemberStatus, Rank)) {
        let number = self.model.enrol(sponsor, state);
        let member = NewMember {
            id: id(number),
            external_id: None,
            name: None,
            sponsor_id: sponsor.map(id),
            status: state.0,
            rank: state.1,
            joined_at: None,
        };
        let mut tx = self.ingest.begin().await.unwrap();
        enrolment::enrol(&mut tx, &member, "test").await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Asks for changes. Whether they were made, and what now was, or would have been.
    async fn change(&self, changes: &[Change]) -> (bool, Moment) {
        let order = Order { changes, actor: "test", on_behalf_of: None, reason: "test" };
        let mut tx = self.ingest.begin().await.unwrap();
        let applied = changes::apply(&mut tx, &order).await.unwrap();
        tx.commit().await.unwrap();
        match applied {
            Ok(applied) => (true, applied.now),
            Err(refusals) => {
                assert!(!refusals.is_empty());
                (false, self.now().await)
            }
        }
    }

    async fn sell(&mut self, seller: usize, at: Option<i64>) {
        let now = self.now().await;
        let occurred_at = at.map_or(now, minute);
        let amount = Amount::parse("1").unwrap();
        let number = self.sales.len();
        let sale = NewEvent {
            id: sale_id(number),
            source: "test".to_owned(),
            external_id: number.to_string(),
            facts: Facts {
                member_id: id(seller),
                occurred_at,
                source_type: SourceType::Product,
                currency: "EUR".parse().unwrap(),
                amount,
                volume: amount,
                product_id: None,
                order_kind: OrderKind::Standard,
                market: None,
                buyer_type: None,
                lines: Vec::new(),
            },
            details: Details::default(),
            recorded_at: now,
            earned_period: "2026-01-01".parse().unwrap(),
        };
        let mut conn = self.ingest.acquire().await.unwrap();
        assert_eq!(events::record(&mut conn, &[&sale]).await.unwrap().len(), 1);
        self.sales.push((seller, occurred_at, None));
    }

    /// Settles some of the sales, and compares what settlement sees with the model.
    async fn settle(&mut self, every: usize) {
        let numbers: BTreeMap<Uuid, usize> = (0..self.sales.len())
            .filter(|number| number % every == 0 && self.sales[*number].2.is_none())
            .map(|number| (sale_id(number), number))
            .collect();
        let ids: Vec<Uuid> = numbers.keys().copied().collect();
        let mut tx = store::locks::begin_sharing_history(&self.worker).await.unwrap();
        let batch = settling::read(&mut tx, &ids, READS).await.unwrap();
        assert_eq!(batch.events.len(), ids.len());
        let mut outcomes = Vec::new();
        for event in batch.events {
            let Walk::Found(inputs) = event.walk else { panic!("{:?}", event.walk) };
            let number = numbers[&event.sale.event_id];
            let (seller, at, settled_by) = &mut self.sales[number];
            assert_eq!(seen(&inputs), expected(&self.model, *seller, *at), "sale {number} at {at}");
            outcomes.push(Outcome {
                event_id: event.sale.event_id,
                plan_number: 1,
                breakage: Amount::ZERO,
                inputs: inputs.pack(),
                lines: Vec::new(),
            });
            *settled_by = Some(inputs);
            self.model.settled.push(*at);
        }
        outcomes.sort_unstable_by_key(|outcome| outcome.event_id);
        assert_eq!(settling::claim(&mut tx, &outcomes).await.unwrap().len(), outcomes.len());
        tx.commit().await.unwrap();
    }

    /// What holds at the end, whatever happened.
    async fn check(&mut self) {
        self.settle(1).await;
        self.world.assert_tree_is_sound().await;
        for (seller, at, settled_by) in &self.sales {
            let settled_by = settled_by.as_ref().unwrap();
            let now_known = expected(&self.model, *seller, *at);
            assert_eq!(seen(settled_by), now_known, "what a settlement saw stays true for ever");
        }
        let mut conn = self.ingest.acquire().await.unwrap();
        for (seller, at, settled_by) in &self.sales {
            let by_history = explaining::inputs_as_of(&mut conn, id(*seller), *at, READS).await;
            assert_eq!(by_history.unwrap(), *settled_by, "other worlds are read like this one");
        }
        self.check_as_they_stood(&mut conn).await;
        let moments = [None, Some(BEGINNING_OF_TIME), Some(minute(20)), Some(minute(45))];
        for as_of in moments {
            for member in 0..self.model.len() {
                self.check_questions(&mut conn, member, as_of).await;
            }
        }
        let page = tree_audit::page(&mut conn, None, 1000).await.unwrap();
        assert_eq!(page.members, self.model.len() as i64);
        let flaws = (page.suspects, page.without_beginning, page.off_history);
        assert_eq!(flaws, (Vec::new(), Vec::new(), Vec::new()));
        assert_eq!(tree_audit::disagreements(&mut conn, 10).await.unwrap(), []);
        assert_eq!(tree_audit::misreplaced(&mut conn, 10).await.unwrap(), []);
        assert_eq!(tree_audit::past_circles(&mut conn, 10).await.unwrap(), []);
    }

    /// The history alone, for all sales at once, says what each settlement saw.
    async fn check_as_they_stood(&self, conn: &mut PgConnection) {
        let sought = self.sales.iter().enumerate().map(|(number, (_, at, _))| Sought {
            event_id: sale_id(number),
            as_of: *at,
            reads: READS,
        });
        let sought: Vec<Sought> = sought.collect();
        let stood = settling::as_they_stood(conn, &sought).await.unwrap();
        assert_eq!(stood.len(), self.sales.len());
        for (walk, (_, at, settled_by)) in stood.iter().zip(&self.sales) {
            let Walk::Found(inputs) = walk else { panic!("{walk:?}") };
            assert_eq!(Some(inputs), settled_by.as_ref(), "a sale at {at}");
        }
    }

    /// Every question about a member has the model's answer.
    async fn check_questions(&self, conn: &mut PgConnection, member: usize, as_of: tree::AsOf) {
        // The driver's earliest moment is PostgreSQL's, not chrono's.
        let as_of = as_of.map(|at| at.max("0001-01-01T00:00:00Z".parse().unwrap()));
        let at = as_of.unwrap_or("2200-01-01T00:00:00Z".parse().unwrap());
        let upline: Vec<Uuid> = self.model.upline(member, at).into_iter().map(id).collect();
        assert_eq!(tree::member_and_upline(conn, id(member), as_of).await.unwrap(), upline);

        let downline: Vec<Place> = self
            .model
            .downline(member, at)
            .into_iter()
            .map(|(level, number)| Place { level, member_id: id(number) })
            .collect();
        // In pages of three.
        let mut pages: Vec<Place> = Vec::new();
        loop {
            let after = pages.last().copied();
            let page = tree::downline(conn, id(member), as_of, 5000, after, 3).await.unwrap();
            if page.is_empty() {
                break;
            }
            pages.extend(page);
        }
        assert_eq!(pages, downline, "below {member} at {as_of:?}");
        let direct = tree::downline(conn, id(member), as_of, 1, None, 1000).await.unwrap();
        let expected_direct: Vec<Place> =
            downline.iter().copied().filter(|place| place.level == 1).collect();
        assert_eq!(direct, expected_direct);

        let mut counts: BTreeMap<i32, i64> = BTreeMap::new();
        for place in &downline {
            *counts.entry(place.level).or_default() += 1;
        }
        let found = tree::level_counts(conn, id(member), as_of).await.unwrap();
        assert!(found.iter().map(|count| (count.level, count.members)).eq(counts));
        let size = tree::sizes(conn, &[id(member)], as_of).await.unwrap()[0];
        let expected_size = (expected_direct.len() as i64, downline.len() as i64);
        assert_eq!((size.direct_members, size.network_size), expected_size);

        let found = tree::members(conn, &[id(member)], as_of).await.unwrap().pop().unwrap();
        assert_eq!((found.status, found.rank), self.model.state(member, at));
        assert_eq!(found.sponsor_id, self.model.sponsor(member, at).map(id));
        let held = reward_splits::held(conn, id(member), as_of).await.unwrap();
        let (money, points) = self.model.split(member, at);
        let split = RewardSplit { money_to_self: percent(money), points_to_self: percent(points) };
        assert_eq!(held.split, split, "how {member} shares at {as_of:?}");
        for (level, above) in self.model.upline(member, at).into_iter().enumerate() {
            let level = (level > 0).then(|| i32::try_from(level).unwrap());
            let found = tree::levels_above(conn, id(above), id(member), as_of).await.unwrap();
            assert_eq!(found, level);
        }
    }
}

fn percent(share: u8) -> Percentage {
    Percentage::parse(&share.to_string()).unwrap()
}

/// Everybody on the way, and how the sponsor shares.
type Seen = (Vec<(Uuid, MemberStatus, Rank)>, Option<RewardSplit>);

fn seen(inputs: &Inputs) -> Seen {
    let visits = std::iter::once(&inputs.seller).chain(&inputs.upline);
    let visits = visits.map(|visit| (visit.member_id, visit.status, visit.rank));
    (visits.collect(), inputs.split)
}

fn expected(model: &Model, seller: usize, at: Moment) -> Seen {
    let upline = model.upline(seller, at).into_iter().take(usize::from(READS.depth) + 1);
    let visits =
        upline.map(|member| (id(member), model.state(member, at).0, model.state(member, at).1));
    let split = model.sponsor(seller, at).map(|sponsor| model.split(sponsor, at));
    // Who keeps everything shares nothing.
    let split = split.filter(|split| *split != (100, 100)).map(|(money, points)| RewardSplit {
        money_to_self: percent(money),
        points_to_self: percent(points),
    });
    (visits.collect(), split)
}
