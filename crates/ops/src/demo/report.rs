//! What the demo prints, in 80 columns.

use std::time::Duration;

use domain::amount::{Amount, Rounding, RoundingMode};
use domain::period::Period;
use store::{PgConnection, ledger, programme};

use super::trade::Figures;
use crate::output::{print_text, table};

pub(super) const INTRODUCTION: &str = "\
Lineage: a year of real trade
=============================
18,532 orders of a UK gift retailer, December 2010 to December 2011 (Online
Retail, D. Chen, UCI, CC BY 4.0), over an invented tree of sponsors.";

pub(super) const HOW_TO_GO_ON: &str = "
How to go on
------------
  make up           keep a stack running; then `. .local/env`
  lineage --help    every command, each with an example
  make test         see every promise tested
  make bench        measure this machine
The demo's database is gone again; nothing is left running.";

pub(super) fn heading(text: &str) -> anyhow::Result<()> {
    print_text(&format!("\n{text}\n{}", "-".repeat(text.chars().count())))
}

pub(super) fn figures(figures: &Figures) -> anyhow::Result<()> {
    let seconds = figures.bulk_time.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "some ten thousand orders")]
    let throughput = figures.bulk_orders as f64 / seconds;
    let at = |share: usize| {
        let place = figures.single_times.len().saturating_sub(1) * share / 100;
        milliseconds(figures.single_times.get(place).copied().unwrap_or_default())
    };
    print_text(&format!(
        "{} orders settled.\n\
         throughput  {throughput:.0} orders/s: {} in batches of 100, first post to last\n            \
         committed ledger line, in {seconds:.1} s\n\
         latency     p50 {}, p99 {}: {} single posts, {} a second,\n            \
         from the post to the announcement that its lines are committed",
        figures.orders,
        figures.bulk_orders,
        at(50),
        at(99),
        figures.single_times.len(),
        figures.rate,
    ))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

pub(super) async fn months(conn: &mut PgConnection) -> anyhow::Result<()> {
    heading("Commissions per month")?;
    let totals = ledger::totals_by_period(conn).await?;
    let rows = totals
        .iter()
        .map(|total| {
            vec![
                Period::containing(total.period).to_string(),
                total.sales.to_string(),
                pounds(total.turnover),
                total.lines.to_string(),
                pounds(total.paid),
                pounds(total.breakage),
                total.currency.clone(),
            ]
        })
        .collect();
    let header = ["month", "sales", "turnover", "lines", "paid", "breakage", ""];
    print_text(&table(&header, &[1, 2, 3, 4, 5], rows))
}

pub(super) async fn top_earners(conn: &mut PgConnection) -> anyhow::Result<()> {
    heading("Top earners")?;
    let ladder = programme::ladder(conn).await?;
    let earners = ledger::top_earners(conn, 10).await?;
    let rows = earners
        .into_iter()
        .map(|earner| {
            let rank = u8::try_from(earner.rank).unwrap_or(u8::MAX);
            vec![
                earner.name,
                ladder.name(domain::ladder::Rank(rank)),
                earner.lines.to_string(),
                pounds(earner.amount),
                earner.currency,
            ]
        })
        .collect();
    print_text(&table(&["member", "rank", "lines", "earned", ""], &[2, 3], rows))
}

/// Money as it is read: two decimals. The ledger keeps four.
fn pounds(amount: Amount) -> String {
    let cents = Rounding { scale: 2, mode: RoundingMode::HalfAwayFromZero };
    let whole = domain::amount::Percentage::parse("100").unwrap_or_default();
    let text = cents.share(amount, whole).to_string();
    text.strip_suffix("00").unwrap_or(&text).to_owned()
}
