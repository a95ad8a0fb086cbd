//! A shop: posts sales, again when nobody answers, twice when in doubt, late when it was off line.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rust_decimal::Decimal;

use super::sale::{Books, request};
use super::{World, lock};
use crate::evidence::PostedSale;
use crate::random::Random;

/// Answered sales that a shop remembers, to post them again.
const REMEMBERED_MAX: usize = 300;
/// The usual time between two requests: six shops make some fifty sales a second.
const PAUSE_MILLIS: u64 = 180;

/// One shop.
pub(crate) struct Shop {
    world: Arc<World>,
    books: Books,
    remembered: VecDeque<PostedSale>,
}

impl Shop {
    pub(crate) fn new(world: Arc<World>, seed: u64, number: usize) -> Self {
        let name = format!("shop-{number}");
        let books = Books::new(&format!("{name}-{seed}"), Random::new(seed, &name));
        Self { world, books, remembered: VecDeque::new() }
    }

    /// Trades until asked to stop; the last request is answered before.
    pub(crate) async fn run(mut self) {
        while !self.world.is_stopping() {
            self.trade().await;
            let pause = self.books.random.between(PAUSE_MILLIS / 2, PAUSE_MILLIS * 3 / 2);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn trade(&mut self) {
        let world = Arc::clone(&self.world);
        let ingest = self.books.random.index(2);
        match self.books.random.between(0, 99) {
            0..=7 => self.batch(ingest).await,
            8..=15 => self.post_again(ingest).await,
            16..=19 => self.contradict(ingest).await,
            20..=24 => self.post_twice_at_once().await,
            25..=26 => self.give_up(ingest).await,
            27..=29 => {
                let sale = self.of_unknown_member();
                world.insist_on_sale(&sale, ingest).await;
            }
            30..=41 => {
                let occurred_at = self.books.long_ago();
                let member_id = world.any_member(&mut self.books.random);
                let sale = self.books.sale_of(member_id, occurred_at);
                world.count(|counts| counts.late += 1);
                world.insist_on_sale(&sale, ingest).await;
                self.remember(sale);
            }
            _ => {
                let occurred_at = self.books.about_now();
                let member_id = world.any_member(&mut self.books.random);
                let sale = self.books.sale_of(member_id, occurred_at);
                world.insist_on_sale(&sale, ingest).await;
                self.remember(sale);
            }
        }
    }

    fn remember(&mut self, sale: PostedSale) {
        if self.remembered.len() == REMEMBERED_MAX {
            self.remembered.pop_front();
        }
        self.remembered.push_back(sale);
    }

    fn recall(&mut self) -> Option<PostedSale> {
        let remembered = self.remembered.make_contiguous();
        (!remembered.is_empty()).then(|| self.books.random.pick(remembered).clone())
    }

    /// Several sales in one request, in no order, one of them perhaps known already.
    async fn batch(&mut self, ingest: usize) {
        let count = self.books.random.between(2, 14);
        let mut sales = Vec::new();
        for _ in 0..count {
            let member_id = self.world.any_member(&mut self.books.random);
            let occurred_at = self.books.about_now();
            sales.push(self.books.sale_of(member_id, occurred_at));
        }
        let known = if self.books.random.percent(30) { self.recall() } else { None };
        let new_ones = sales.len();
        sales.extend(known);
        let answer = self.world.insist(ingest, &request(&sales)).await;
        self.world.count(|counts| counts.batches += 1);
        for (place, sale) in sales.into_iter().enumerate() {
            if answer.status != 202 {
                self.world.refused_sale(&sale, &answer);
            } else if place < new_ones {
                self.world.check_id(&sale, &answer.body[place]);
                self.world.acknowledged(&sale);
                self.remember(sale);
            }
        }
    }

    /// What was acknowledged is a duplicate for ever.
    async fn post_again(&mut self, ingest: usize) {
        let Some(sale) = self.recall() else { return };
        let answer = self.world.insist(ingest, &request(std::slice::from_ref(&sale))).await;
        self.world.count(|counts| counts.duplicates += 1);
        if answer.status != 202 || answer.body["status"] != "duplicate" {
            let detail = format!("{}: {} {}", sale.event_id, answer.status, answer.body);
            self.world.found("an acknowledged sale that is posted again is a duplicate", detail);
        }
    }

    /// Other facts under the same id are refused.
    async fn contradict(&mut self, ingest: usize) {
        let Some(sale) = self.recall() else { return };
        let other = PostedSale { amount: sale.amount + Decimal::ONE, ..sale };
        let answer = self.world.insist(ingest, &request(std::slice::from_ref(&other))).await;
        if answer.status == 409 {
            self.world.count(|counts| counts.contradictions += 1);
        } else {
            let detail = format!("{}: {} {}", other.event_id, answer.status, answer.body);
            self.world.found("other facts under a recorded id are refused by 409", detail);
        }
    }

    /// The same sale to both ingests at the same time: one records it.
    async fn post_twice_at_once(&mut self) {
        let sale = self.books.sale(&self.world);
        let request = request(std::slice::from_ref(&sale));
        let (one, other) =
            tokio::join!(self.world.insist(0, &request), self.world.insist(1, &request));
        self.world.count(|counts| counts.simultaneous += 1);
        let accepted = |answer: &super::client::Answer| answer.body["status"] == "accepted";
        if one.status != 202 || other.status != 202 {
            self.world.refused_sale(&sale, if one.status == 202 { &other } else { &one });
            return;
        }
        if accepted(&one) && accepted(&other) {
            let detail = format!("{}: both were told `accepted`", sale.event_id);
            self.world.found("of simultaneous posts one is the first", detail);
        }
        self.world.acknowledged(&sale);
        self.remember(sale);
    }

    /// Goes away before the answer comes, and never asks again.
    async fn give_up(&mut self, ingest: usize) {
        let sale = self.books.sale(&self.world);
        let patience = Duration::from_millis(self.books.random.between(1, 12));
        let request = request(std::slice::from_ref(&sale));
        if let Some((202, _)) = self.world.ask(ingest, &request, patience).await {
            self.world.acknowledged(&sale);
        } else {
            self.world.count(|counts| counts.given_up += 1);
            lock(&self.world.evidence).unanswered.push(sale);
        }
    }

    /// A sale of somebody who is enrolled later; of ten one never is.
    fn of_unknown_member(&mut self) -> PostedSale {
        let member_id = self.books.random.uuid();
        if !self.books.random.percent(10) {
            let wait = Duration::from_millis(self.books.random.between(200, 8_000));
            lock(&self.world.awaited).push((Instant::now() + wait, member_id));
        }
        self.world.count(|counts| counts.of_unknown_members += 1);
        let occurred_at = self.books.about_now();
        self.books.sale_of(member_id, occurred_at)
    }
}
