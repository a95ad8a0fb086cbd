//! What a benchmark measured, for people and for programs.

use std::time::Instant;

use comfy_table::{Table, presets};
use serde::ser::{Serialize, SerializeSeq as _, Serializer};

use super::growth::{self, Growth};

/// One benchmark's figures. Fields that do not apply are left out.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(crate) struct Report {
    pub(crate) bench: String,
    pub(crate) members: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) events: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) batch: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connections: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) events_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lines_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) floor_events_per_second: Option<f64>,
    /// Ours divided by the floor, so that more is better; for times, the floor divided by ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p99_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) floor_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) small_members: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) small_p50_ms: Option<f64>,
    /// The large network's median divided by the small one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) growth: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) floor_seconds: Option<f64>,
    /// The most memory of the process under test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peak_rss_mib: Option<f64>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) overload: Option<Overload>,
    /// What the design asks for.
    #[serde(skip)]
    pub(crate) goal: &'static str,
}

/// What an overload did to ingest, beside the same process at rest. Sales and requests are those of
/// the overload, unless their names say otherwise.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Overload {
    pub(crate) idle_p50_ms: f64,
    pub(crate) idle_p99_ms: f64,
    /// Sales a second that were accepted from clients that wait for their answers.
    pub(crate) capacity_per_second: f64,
    /// How many times the capacity was sent: less than intended when the generator's connections
    /// were still waiting for answers.
    pub(crate) offered: f64,
    /// Requests a second that were due while their connection waited for an answer.
    pub(crate) left_out_per_second: f64,
    /// Requests a second answered 429 or 503, and how fast.
    pub(crate) shed_per_second: f64,
    pub(crate) shed_p99_ms: f64,
    /// Connections that ended without an answer.
    pub(crate) cut_off: u64,
    pub(crate) rss_before_mib: Option<f64>,
    pub(crate) rss_during_mib: Option<f64>,
    pub(crate) rss_after_mib: Option<f64>,
    /// The most memory of the worker that settled the backlog afterwards.
    pub(crate) worker_peak_rss_mib: Option<f64>,
    /// Processors that the generator kept busy.
    pub(crate) generator_cpu: f64,
}

/// What all benchmarks measured: one list for programs, two tables for people.
pub(crate) struct All {
    pub(crate) reports: Vec<Report>,
    pub(crate) growths: Vec<Growth>,
}

impl Serialize for All {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.reports.len() + self.growths.len()))?;
        for report in &self.reports {
            list.serialize_element(report)?;
        }
        for growth in &self.growths {
            list.serialize_element(growth)?;
        }
        list.end()
    }
}

impl All {
    pub(crate) fn tables(&self) -> String {
        format!("{}\n\n{}", table(&self.reports), growth::table(&self.growths))
    }
}

/// A table of figures, 80 columns wide.
pub(crate) fn table(reports: &[Report]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["measured", "figure", "floor", "ratio", "goal"]);
    for report in reports {
        let what = match (report.batch, report.connections) {
            (Some(batch), Some(connections)) => {
                format!("{}\nbatch {batch} × {connections} conn.", report.bench)
            }
            _ => format!("{}\n{} members", report.bench, report.members),
        };
        let ratio = report.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        table.add_row(vec![what, figure(report), floor(report), ratio, report.goal.to_owned()]);
    }
    table.to_string()
}

fn figure(report: &Report) -> String {
    let mut lines = Vec::new();
    if let Some(rate) = report.events_per_second {
        lines.push(format!("{rate:.0} sales/s"));
    }
    if let Some(rate) = report.lines_per_second {
        lines.push(format!("{rate:.0} lines/s"));
    }
    if let (Some(p50), Some(p99)) = (report.p50_ms, report.p99_ms) {
        lines.push(format!("p50 {p50:.2} ms"));
        lines.push(format!("p99 {p99:.2} ms"));
    }
    if let (Some(growth), Some(small)) = (report.growth, report.small_members) {
        lines.push(format!("growth {growth:.2}× from {small}"));
    }
    if let Some(seconds) = report.seconds {
        lines.push(format!("{seconds:.1} s"));
    }
    if let Some(overload) = &report.overload {
        lines.push(format!("{:.1} × capacity sent", overload.offered));
        lines.push(format!("{:.0} shed/s", overload.shed_per_second));
        lines.push(format!("shed p99 {:.2} ms", overload.shed_p99_ms));
        let rss = |mib: Option<f64>| mib.map_or_else(|| "?".to_owned(), |mib| format!("{mib:.0}"));
        let (before, during, after) =
            (overload.rss_before_mib, overload.rss_during_mib, overload.rss_after_mib);
        lines.push(format!("{} → {} → {} MiB", rss(before), rss(during), rss(after)));
        lines.push(format!("worker {} MiB", rss(overload.worker_peak_rss_mib)));
        lines.push(format!("generator {:.1} cores", overload.generator_cpu));
    } else if let Some(memory) = report.peak_rss_mib {
        lines.push(format!("{memory:.0} MiB"));
    }
    lines.join("\n")
}

fn floor(report: &Report) -> String {
    let rate = report.floor_events_per_second.map(|rate| format!("{rate:.0} sales/s"));
    let time = report.floor_p50_ms.map(|p50| format!("p50 {p50:.2} ms"));
    let seconds = report.floor_seconds.map(|seconds| format!("{seconds:.1} s"));
    let idle = report.overload.as_ref().map(|overload| {
        let Overload { idle_p50_ms, idle_p99_ms, capacity_per_second, .. } = overload;
        format!(
            "{capacity_per_second:.0} sales/s\nidle p50 {idle_p50_ms:.2} ms\n\
             idle p99 {idle_p99_ms:.2} ms"
        )
    });
    [rate, time, seconds, idle].into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// Times of the same step, in milliseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<f64>);

impl Times {
    /// Notes a step that began then and has just ended.
    pub(crate) fn note(&mut self, begun: Instant) {
        self.0.push(begun.elapsed().as_secs_f64() * 1e3);
    }

    /// Adds the times of another series.
    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The time below which `share` of them lie.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        quantile(&sorted, share)
    }
}

/// The value below which `share` of the sorted values lie.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place among some thousand samples"
    )]
    let place = ((sorted.len() as f64 - 1.0) * share).round().max(0.0) as usize;
    sorted.get(place).copied().unwrap_or_default()
}
