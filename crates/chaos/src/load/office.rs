//! The office: enrols members, moves them, changes their status and rank.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Caller, Request};
use super::{World, lock};
use crate::evidence::{Changed, Enrolled};
use crate::random::Random;
use crate::reference;

/// The usual time between two requests.
const PAUSE_MILLIS: u64 = 350;

/// One clerk.
pub(crate) struct Office {
    world: Arc<World>,
    random: Random,
    /// So that each reason is given once.
    asked: u64,
}

impl Office {
    pub(crate) fn new(world: Arc<World>, seed: u64) -> Self {
        Self { world, random: Random::new(seed, "office"), asked: 0 }
    }

    /// Works until asked to stop; then enrols everybody whom sales still wait for.
    pub(crate) async fn run(mut self) {
        while !self.world.is_stopping() {
            let due = self.take_awaited(Instant::now());
            for member_id in due {
                self.enrol(member_id).await;
            }
            match self.random.between(0, 99) {
                0..=29 => {
                    let member_id = self.random.uuid();
                    self.enrol(member_id).await;
                }
                30..=59 => self.relocate().await,
                60..=89 => self.change().await,
                _ => {}
            }
            let pause = self.random.between(PAUSE_MILLIS / 2, PAUSE_MILLIS * 3 / 2);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        // A shop may be about to post the last sale of an unknown member.
        tokio::time::sleep(Duration::from_secs(1)).await;
        for member_id in self.take_awaited(Instant::now() + Duration::from_hours(1)) {
            self.enrol(member_id).await;
        }
    }

    fn take_awaited(&self, until: Instant) -> Vec<Uuid> {
        let mut awaited = lock(&self.world.awaited);
        let due = awaited.iter().filter(|(at, _)| *at <= until).map(|(_, id)| *id).collect();
        awaited.retain(|(at, _)| *at > until);
        due
    }

    async fn enrol(&mut self, member_id: Uuid) {
        let sponsor_id = Some(self.world.any_member(&mut self.random));
        let rank = *self.random.pick(&reference::LADDER);
        let body = json!({"id": member_id, "sponsor_id": sponsor_id, "rank": rank});
        let (status, answer, perhaps_done_before) =
            self.insist(Method::POST, "/v1/members".to_owned(), body).await;
        // A repetition finds the member there when only the first answer was lost.
        if status == 201 || (status == 409 && perhaps_done_before) {
            lock(&self.world.evidence).enrolled.push(Enrolled { member_id, sponsor_id });
            lock(&self.world.members).push(member_id);
            self.world.count(|counts| counts.enrolments += 1);
        } else {
            let detail = format!("{member_id}: {status} {answer}");
            self.world.found("a valid enrolment is accepted", detail);
        }
    }

    async fn relocate(&mut self) {
        let member_id = self.world.any_member(&mut self.random);
        let new_sponsor_id = self.world.any_member(&mut self.random);
        let path = format!("/v1/members/{member_id}/move");
        let body = json!({"new_sponsor_id": new_sponsor_id});
        if let Some(reason) = self.change_history(Method::POST, path, body).await {
            self.world.count(|counts| counts.moves += 1);
            let new_sponsor_id = Some(new_sponsor_id);
            let changed = Changed { member_id, new_sponsor_id, status: None, reason };
            lock(&self.world.evidence).changed.push(changed);
        }
    }

    async fn change(&mut self) {
        let member_id = self.world.any_member(&mut self.random);
        let statuses = ["ACTIVE", "ACTIVE", "ACTIVE", "INACTIVE", "SUSPENDED"];
        let status = *self.random.pick(&statuses);
        let mut body = json!({"status": status});
        if self.random.percent(40) {
            body["rank"] = json!(*self.random.pick(&reference::LADDER));
        }
        let path = format!("/v1/members/{member_id}");
        if let Some(reason) = self.change_history(Method::PATCH, path, body).await {
            self.world.count(|counts| counts.changes += 1);
            let status = Some(status.to_owned());
            let changed = Changed { member_id, new_sponsor_id: None, status, reason };
            lock(&self.world.evidence).changed.push(changed);
        }
    }

    /// Asks for a change of history until it is made or refused for what it is. The reason under
    /// which it was made: each attempt has one of its own, because one that seems to have failed
    /// may have been made.
    async fn change_history(
        &mut self,
        method: Method,
        path: String,
        mut body: Value,
    ) -> Option<String> {
        let mut ingest = self.random.index(2);
        loop {
            self.asked += 1;
            let reason = format!("chaos {}", self.asked);
            body["reason"] = json!(reason);
            let request = Request {
                caller: Caller::Office,
                method: method.clone(),
                path: path.clone(),
                body: body.clone(),
            };
            match self.world.ask(ingest, &request, Duration::from_secs(20)).await {
                Some((200, _)) => return Some(reason),
                Some((408 | 429 | 503, _)) => self.world.count(|counts| counts.put_off += 1),
                Some((404 | 409 | 422, _)) => {
                    self.world.count(|counts| counts.refused += 1);
                    return None;
                }
                Some((status, answer)) => {
                    let detail = format!("{} {}: {status} {answer}", request.method, request.path);
                    self.world.found("nothing but 503 is answered when something breaks", detail);
                    return None;
                }
                None => self.world.count(|counts| counts.unanswered += 1),
            }
            ingest += 1;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn insist(&mut self, method: Method, path: String, body: Value) -> (u16, Value, bool) {
        let request = Request { caller: Caller::Office, method, path, body };
        let answer = self.world.insist(self.random.index(2), &request).await;
        (answer.status, answer.body, answer.perhaps_done_before)
    }
}
