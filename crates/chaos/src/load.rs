//! The trade that goes on while everything breaks: shops that post sales and insist on an answer, an
//! office that enrols, moves and changes members.
//!
//! What is posted follows from the seed; when it is answered does not. Everything that was answered
//! with 2xx goes into the evidence.

mod bell;
mod client;
mod office;
mod sale;
mod shop;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use uuid::Uuid;

use self::client::Client;
use self::office::Office;
use self::sale::Books;
use self::shop::Shop;
use crate::arena::Arena;
use crate::evidence::{Evidence, Finding, PostedSale};
use crate::random::Random;

/// Shops that post at the same time.
const SHOPS: usize = 6;
/// How long the last requests may take once everything is healed.
const FINISH_MAX: Duration = Duration::from_secs(90);

/// What was asked for, for the report.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Sales answered with 2xx for the first time.
    pub(crate) sales: u64,
    /// Requests with more than one sale.
    pub(crate) batches: u64,
    /// Sales posted again after they had been answered.
    pub(crate) duplicates: u64,
    /// Sales posted to both ingests at the same time.
    pub(crate) simultaneous: u64,
    /// Sales that happened days or months before.
    pub(crate) late: u64,
    /// The same id with other facts, refused by 409.
    pub(crate) contradictions: u64,
    /// Sales of members who were enrolled later, or never.
    pub(crate) of_unknown_members: u64,
    /// Stream entries that name a sale once more.
    pub(crate) rung_twice: u64,
    /// Sales that the shop gave up on.
    pub(crate) given_up: u64,
    /// Enrolments.
    pub(crate) enrolments: u64,
    /// Moves that were made.
    pub(crate) moves: u64,
    /// Changes of status or rank that were made.
    pub(crate) changes: u64,
    /// Changes of history refused for what they asked.
    pub(crate) refused: u64,
    /// Requests that nobody answered; each was repeated.
    pub(crate) unanswered: u64,
    /// Requests answered by 429 or 503; each was repeated.
    pub(crate) put_off: u64,
}

/// What all shops and the office share.
pub(crate) struct World {
    pub(crate) arena: Arc<Arena>,
    client: Client,
    evidence: Mutex<Evidence>,
    findings: Mutex<Vec<Finding>>,
    counts: Mutex<Counts>,
    /// Members who are enrolled for certain.
    members: Mutex<Vec<Uuid>>,
    /// Members whose sales came before them, and when they are to be enrolled.
    awaited: Mutex<Vec<(Instant, Uuid)>>,
    stopping: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut lock(&self.counts));
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// A member who is enrolled.
    fn any_member(&self, random: &mut Random) -> Uuid {
        *random.pick(&lock(&self.members))
    }

    /// Notes what must not be.
    pub(crate) fn found(&self, promise: &'static str, detail: String) {
        lock(&self.findings).push(Finding { promise, detail });
    }

    /// Remembers ids that are about to be forged.
    pub(crate) fn forge(&self, ids: &[Uuid]) {
        lock(&self.evidence).forged.extend_from_slice(ids);
    }

    /// Ids of a few sales that were answered.
    pub(crate) fn some_events(&self, random: &mut Random, count: usize) -> Vec<Uuid> {
        let evidence = lock(&self.evidence);
        let known = &evidence.acknowledged;
        let some = (0..count).filter(|_| !known.is_empty());
        some.map(|_| random.pick(known).event_id).collect()
    }

    /// One of the last sales that were answered.
    fn recent_event(&self, random: &mut Random, recent: usize) -> Option<Uuid> {
        let evidence = lock(&self.evidence);
        let known = &evidence.acknowledged;
        let last = &known[known.len().saturating_sub(recent)..];
        (!last.is_empty()).then(|| random.pick(last).event_id)
    }

    fn acknowledged(&self, sale: &PostedSale) {
        lock(&self.evidence).acknowledged.push(sale.clone());
        self.count(|counts| counts.sales += 1);
    }
}

/// The running load.
pub(crate) struct Load {
    pub(crate) world: Arc<World>,
    tasks: JoinSet<()>,
    probes: Books,
}

impl Load {
    /// Starts it on an installation whose members are enrolled.
    pub(crate) fn start(
        arena: Arc<Arena>,
        seed: u64,
        keys: Keys,
        members: Vec<Uuid>,
    ) -> anyhow::Result<Self> {
        let world = Arc::new(World {
            arena,
            client: Client::new(keys)?,
            evidence: Mutex::default(),
            findings: Mutex::default(),
            counts: Mutex::default(),
            members: Mutex::new(members),
            awaited: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let mut tasks = JoinSet::new();
        for number in 0..SHOPS {
            tasks.spawn(Shop::new(Arc::clone(&world), seed, number).run());
        }
        tasks.spawn(Office::new(Arc::clone(&world), seed).run());
        tasks.spawn(bell::run(Arc::clone(&world), Random::new(seed, "bell")));
        let probes = Books::new(&format!("probe-{seed}"), Random::new(seed, "probes"));
        Ok(Self { world, tasks, probes })
    }

    /// Posts a sale through each ingest and waits until both are settled. The time from now until
    /// then; `None`: not within `limit`.
    pub(crate) async fn probe(&mut self, limit: Duration) -> Option<Duration> {
        let begun = Instant::now();
        let (one, other) = (self.probes.sale(&self.world), self.probes.sale(&self.world));
        let settled = async |ingest, sale: &PostedSale| {
            self.world.insist_on_sale(sale, ingest).await;
            self.world.until_settled(sale.event_id).await;
        };
        let both = async { tokio::join!(settled(0, &one), settled(1, &other)) };
        tokio::time::timeout(limit, both).await.ok().map(|_| begun.elapsed())
    }

    /// How many members there are.
    pub(crate) fn member_count(&self) -> usize {
        lock(&self.world.members).len()
    }

    /// Asks everybody for nothing new, waits for the last answers, and enrols whom sales still wait
    /// for.
    pub(crate) async fn finish(mut self) -> (Evidence, Counts, Vec<Finding>) {
        self.world.stopping.store(true, Ordering::Relaxed);
        let last = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(FINISH_MAX, last).await.is_err() {
            let detail = format!("not within {} s of the last fault", FINISH_MAX.as_secs());
            self.world.found("every request is answered in the end", detail);
            self.tasks.shutdown().await;
        }
        let world = &self.world;
        let evidence = lock(&world.evidence).clone();
        let findings = lock(&world.findings).clone();
        (evidence, lock(&world.counts).clone(), findings)
    }
}

pub(crate) use self::client::Keys;
