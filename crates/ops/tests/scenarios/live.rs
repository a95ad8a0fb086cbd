//! Scenarios through the live path: set up by `lineage`, driven over HTTP, settled by a worker, and
//! compared with what the run in memory computes, to the last ledger line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Mutex;

use chrono::{DateTime, SecondsFormat, Utc};
use domain::history::{Change, What};
use domain::scenario::{
    NamedSale, NewMember, PlanOrigin, PlanSource, PlanText, SOURCE, Scenario, StepKind,
};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use store::keys::Scope;
use store::testing::{Process, World};

use crate::memory;

/// Scenarios that run at the same time, each with a database and processes of its own.
const AT_ONCE: usize = 4;

#[test]
fn l10_the_live_path_pays_what_the_run_in_memory_computes() {
    let waiting: Mutex<Vec<Value>> = Mutex::new(memory::run_all());
    let failures: Mutex<Vec<String>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.unwrap();
                loop {
                    let Some(computed) = waiting.lock().unwrap().pop() else { return };
                    let differences = runtime.block_on(compare(&computed));
                    failures.lock().unwrap().extend(differences);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// What differs between the run in memory and the live path.
async fn compare(computed: &Value) -> Vec<String> {
    let file = computed["file"].as_str().unwrap();
    let mut live = Live::set_up(&memory::root().join(file), computed).await;
    for place in 0..live.scenario.timeline.len() {
        live.step(place).await;
    }
    live.compare_sales(computed).await;
    let verified = live.world.lineage().arg("verify").output().unwrap();
    if !verified.status.success() {
        live.differ(format!("verify: {}", String::from_utf8_lossy(&verified.stdout)));
    }
    live.differences.into_iter().map(|difference| format!("{file}: {difference}")).collect()
}

/// The processes go before the world that they live in.
struct Live {
    ingest: Process,
    _worker: Process,
    world: World,
    http: Client,
    key: String,
    scenario: Scenario,
    /// The file as it is, for plans that are written in it.
    written: Value,
    /// By steps, the causes for which they are refused in memory.
    refused: Vec<(usize, String)>,
    differences: Vec<String>,
}

impl Live {
    async fn set_up(path: &Path, computed: &Value) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let directory = path.parent().unwrap().to_owned();
        let scenario = Scenario::read(&text, &|name| {
            let path = directory.join(name);
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            Ok(PlanText { file: path.display().to_string(), text })
        });
        let scenario = scenario.unwrap_or_else(|flaws| panic!("{}: {flaws:?}", path.display()));
        let written: Value = yaml_serde::from_str(&text).unwrap();
        let world = World::new().await;
        run(&world, &["program", "set", "--time-zone", scenario.programme.time_zone.name()]);
        let ranks = json!({ "ranks": scenario.ladder });
        with_file(&world, "yaml", &ranks.to_string(), |file| {
            run(&world, &["ranks", "apply", file]);
        });
        let key = world.key(&Scope::ALL).await;
        let (ingest, worker) = (world.ingest(&[]), world.worker(&[]));
        let refused = computed["refused"].as_array().unwrap().iter().map(|refused| {
            let step = refused["step"].as_u64().expect("what is there from the beginning");
            (usize::try_from(step).unwrap(), refused["cause"].as_str().unwrap().to_owned())
        });
        let refused = refused.collect();
        let (http, differences) = (Client::new(), Vec::new());
        let mut live = Self {
            world,
            ingest,
            _worker: worker,
            http,
            key,
            scenario,
            written,
            refused,
            differences,
        };
        for (place, plan) in live.scenario.plans.clone().iter().enumerate() {
            let plans = &live.written["plan"];
            let inline = if plans.is_array() { plans[place].clone() } else { plans.clone() };
            live.apply(plan, &inline, None);
        }
        live.import();
        live
    }

    fn differ(&mut self, difference: String) {
        self.differences.push(difference);
    }

    /// Whoever is there from the beginning.
    fn import(&self) {
        let mut csv = csv::Writer::from_writer(Vec::new());
        let header = ["id", "sponsor_id", "status", "rank", "joined_at", "external_id", "name"];
        csv.write_record(header).unwrap();
        for member in &self.scenario.network {
            let sponsor = member.sponsor_id.map(|id| id.to_string()).unwrap_or_default();
            csv.write_record([
                &member.id.to_string(),
                &sponsor,
                member.status.name(),
                &self.scenario.ladder.name(member.rank),
                &instant(member.joined_at),
                &member.external_id,
                member.name.as_deref().unwrap_or_default(),
            ])
            .unwrap();
        }
        if self.scenario.network.is_empty() {
            return;
        }
        let text = String::from_utf8(csv.into_inner().unwrap()).unwrap();
        with_file(&self.world, "csv", &text, |file| run(&self.world, &["members", "import", file]));
    }

    async fn step(&mut self, place: usize) {
        let step = self.scenario.timeline[place].clone();
        match &step.kind {
            StepKind::Sale(sale) => {
                self.call(Method::POST, "/v1/events", &sale_body(sale), step.place).await;
            }
            StepKind::Enrol(member) => {
                let body = self.member_body(member);
                self.call(Method::POST, "/v1/members", &body, step.place).await;
            }
            StepKind::Change(change) => self.change(change, step.place).await,
            StepKind::Plan(plan) => {
                let inline = self.written["timeline"][step.place]["plan"].clone();
                self.apply(plan, &inline, Some(step.place));
            }
            StepKind::Retire(retirement) => {
                let from =
                    self.written["timeline"][step.place]["from"].as_str().unwrap().to_owned();
                let arguments =
                    ["plan", "retire", &retirement.plan, "--from", &from, "--reason", "scenario"];
                let output = self.world.lineage().args(arguments).output().unwrap();
                self.check_command(&output, Some(step.place));
            }
        }
        self.world
            .wait_until(
                "every sale is settled or waits",
                "select not exists (select from event_state where state = 'unsettled')
                    and not exists (select from event_failures
                                     where state = 'retrying' and next_attempt_at <= now())",
            )
            .await;
    }

    async fn change(&mut self, change: &Change, place: usize) {
        let at = instant(change.effective_at.unwrap());
        let member = format!("/v1/members/{}", change.member_id);
        let mut body = json!({ "effective_at": at, "reason": "scenario" });
        let (method, path) = match change.what {
            What::Move { new_sponsor_id } => {
                body["new_sponsor_id"] = json!(new_sponsor_id);
                (Method::POST, format!("{member}/move"))
            }
            What::State { status, rank } => {
                if let Some(status) = status {
                    body["status"] = json!(status.name());
                }
                if let Some(rank) = rank {
                    body["rank"] = json!(self.scenario.ladder.name(rank));
                }
                (Method::PATCH, member)
            }
            What::Split { .. } => {
                let written = &self.written["timeline"][place];
                for part in ["monetary", "career_points"] {
                    if written[part].is_object() {
                        body[part] = written[part].clone();
                    }
                }
                (Method::PUT, format!("{member}/reward-split"))
            }
        };
        self.call(method, &path, &body, place).await;
    }

    /// Asks the API, which must do what the run in memory did, or refuse it for the same cause.
    async fn call(&mut self, method: Method, path: &str, body: &Value, place: usize) {
        let url = format!("{}{path}", self.ingest.url);
        let request = self.http.request(method, url).bearer_auth(&self.key).body(body.to_string());
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        let expected = self.refused.iter().find(|(step, _)| *step == place);
        let is_as_expected = match expected {
            None => status.is_success(),
            Some((_, cause)) => {
                let answer: Value = serde_json::from_str(&text).unwrap_or_default();
                // Enrolments are refused by their field.
                let is_it = match cause.as_str() {
                    "id_taken" => answer["pointer"] == "/id" || answer["pointer"] == "/external_id",
                    "unknown_sponsor" if path == "/v1/members" => {
                        answer["pointer"] == "/sponsor_id"
                    }
                    cause => answer["cause"] == cause,
                };
                status.is_client_error() && is_it
            }
        };
        if !is_as_expected {
            let expected = expected.map_or("done", |(_, cause)| cause.as_str()).to_owned();
            self.differ(format!("timeline[{place}]: {expected} in memory, live {status} {text}"));
        }
    }

    fn apply(&mut self, plan: &PlanSource, inline: &Value, place: Option<usize>) {
        let apply =
            |file: &str| self.world.lineage().args(["plan", "apply", file]).output().unwrap();
        let output = match &plan.origin {
            PlanOrigin::File(file) => apply(file),
            PlanOrigin::Inline => {
                with_file(&self.world, "yaml", &yaml_serde::to_string(inline).unwrap(), apply)
            }
        };
        self.check_command(&output, place);
    }

    /// A command must do what the run in memory did, or refuse it for the same cause.
    fn check_command(&mut self, output: &Output, place: Option<usize>) {
        let refused = self.refused.iter().find(|(step, _)| Some(*step) == place);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let is_as_expected = match refused {
            None => output.status.success(),
            Some((_, cause)) => output.status.code() == Some(1) && said.contains(said_for(cause)),
        };
        if !is_as_expected {
            let expected = refused.map_or("done", |(_, cause)| cause.as_str()).to_owned();
            self.differ(format!("timeline[{place:?}]: {expected} in memory, live: {said}"));
        }
    }

    async fn compare_sales(&mut self, computed: &Value) {
        let query = "select coalesce(json_agg(json_build_object(
                'sale', e.external_id, 'state', case s.state when 'settled' then 'settled' else 'waiting' end,
                'cause', s.cause, 'plan', p.plan, 'version', p.version,
                'breakage', o.breakage::text,
                'lines', coalesce(l.lines, '[]'::json)) order by e.external_id), '[]')::text
           from events e
           join event_state s on s.event_id = e.id
           left join commission_outcomes o on o.event_id = e.id
           left join commission_plans p on p.id = o.plan_id
           left join lateral (
                select json_agg(json_build_object(
                         'member', m.external_id, 'type', l.entry_type, 'level', l.level,
                         'depth', l.depth, 'rule', r.rule, 'amount', l.amount::text,
                         'currency', l.currency, 'career_points', l.career_points::text)
                         order by l.line) as lines
                  from commission_ledger l
                  left join members m on m.id = l.member_id
                  left join commission_rules r on r.id = l.rule_id
                 where l.event_id = e.id) l on true";
        let stored: String = sqlx::query_scalar(query).fetch_one(&self.world.owner).await.unwrap();
        let stored: Vec<Value> = serde_json::from_str(&stored).unwrap();
        let mut expected: Vec<Value> = computed["sales"].as_array().unwrap().clone();
        expected.sort_by_key(|sale| sale["sale"].as_str().unwrap().to_owned());
        for sale in &mut expected {
            let fields = sale.as_object_mut().unwrap();
            fields.remove("breakage_by_reason");
            for field in ["cause", "plan", "version", "breakage"] {
                fields.entry(field).or_insert(Value::Null);
            }
        }
        let mut stored = stored;
        stored.sort_by_key(|sale| sale["sale"].as_str().unwrap().to_owned());
        for (expected, stored) in expected.iter().zip(&stored) {
            if expected != stored {
                self.differ(format!("\n  memory {expected}\n  live   {stored}"));
            }
        }
        if expected.len() != stored.len() {
            self.differ(format!("{} sales in memory, {} live", expected.len(), stored.len()));
        }
    }

    fn member_body(&self, member: &NewMember) -> Value {
        let mut body = json!({
            "id": member.id, "external_id": member.external_id, "status": member.status.name(),
            "rank": self.scenario.ladder.name(member.rank), "joined_at": instant(member.joined_at),
        });
        if let Some(name) = &member.name {
            body["name"] = json!(name);
        }
        if let Some(sponsor_id) = member.sponsor_id {
            body["sponsor_id"] = json!(sponsor_id);
        }
        body
    }
}

/// What `lineage plan` says when it refuses for a cause, and for no other one.
fn said_for(cause: &str) -> &'static str {
    match cause {
        "invalid" => " flaw(s) in ",
        "same_start" => "what was applied never changes",
        "same_sales" => "would both pay",
        "settled_sales" => "would reprice",
        "unknown_plan" => "; see `lineage plan list`",
        "not_begun" => ": it begins at ",
        "begins_then" => ", so that the plan is in force then",
        "retired_before" => ": it is retired from ",
        other => panic!("lineage plan knows no cause {other}"),
    }
}

/// The sale with everything that it says; what is absent stays absent.
fn sale_body(named: &NamedSale) -> Value {
    let sale = &named.sale;
    let lines: Vec<Value> = sale
        .lines
        .iter()
        .map(|line| {
            let mut body = json!({
                "id": line.id, "product_id": line.product_id, "quantity": line.quantity,
                "amount": line.amount, "volume": line.volume,
            });
            if let Some(category) = &line.category {
                body["category"] = json!(category);
            }
            body
        })
        .collect();
    let mut body = json!({
        "type": "SALE", "source": SOURCE, "id": named.name, "member_id": named.member_id,
        "amount": sale.amount, "volume": sale.volume, "currency": sale.currency,
        "source_type": sale.source_type, "order_kind": sale.order_kind,
        "occurred_at": instant(sale.as_of),
    });
    if !lines.is_empty() {
        body["lines"] = json!(lines);
    }
    for (field, value) in [("product_id", &sale.product_id), ("market", &sale.market)] {
        if let Some(value) = value {
            body[field] = json!(value);
        }
    }
    if let Some(kind) = sale.buyer_type {
        body["buyer"] = json!({ "type": kind });
        if let Some(id) = &named.buyer_id {
            body["buyer"]["id"] = json!(id);
        }
    }
    body
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A command that must succeed.
fn run(world: &World, arguments: &[&str]) {
    let output = world.lineage().args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "lineage {}: {said}", arguments.join(" "));
}

/// Does something with a file of that content.
fn with_file<T>(world: &World, extension: &str, text: &str, act: impl FnOnce(&str) -> T) -> T {
    let path: PathBuf = std::env::temp_dir().join(format!("{}.{extension}", world.name()));
    fs::write(&path, text).unwrap();
    let result = act(path.to_str().unwrap());
    fs::remove_file(&path).unwrap();
    result
}
