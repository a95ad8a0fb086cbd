//! Plans for benchmarks.

use domain::rule_set::Reads;
use store::{PgPool, plans};

/// Levels of the plans: as many as a long upline has.
pub(crate) const LEVELS: u8 = 12;
/// What settling by them reads.
pub(crate) const READS: Reads = Reads { depth: LEVELS as u16, joined_at: false };

/// What a benchmark settles by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// One rule that pays every level of every sale.
    Simple,
    /// Three components of four rules, each with a condition; one of them competes with another.
    /// Half of the sales get two lines more, a tenth another one.
    Rich,
}

impl Plan {
    fn yaml(self) -> String {
        let levels = |percentage: &str| {
            let level = |level| {
                format!(
                    "{{level: {level}, percentage: '{percentage}', career_points_percentage: '1'}}"
                )
            };
            (1..=LEVELS).map(level).collect::<Vec<_>>().join(", ")
        };
        let base = levels("1.50");
        let rules = match self {
            Self::Simple => format!(
                "  - id: base\n    component: base\n    \
                 calculation: {{type: unilevel, levels: [{base}]}}\n"
            ),
            Self::Rich => format!(
                "  - id: base\n    component: base\n    \
                 condition: {{all: [{{field: sale.currency, op: in, value: [CZK, EUR, GBP]}}, \
                 {{field: sale.source_type, op: '=', value: PRODUCT}}]}}\n    \
                 calculation: {{type: unilevel, levels: [{base}]}}\n  \
                 - id: promotion\n    component: base\n    priority: 10\n    \
                 condition: {{all: [{{field: sale.amount, op: '>=', value: '450'}}, \
                 {{not: {{field: sale.market, op: in, value: [US, CA]}}}}]}}\n    \
                 calculation: {{type: unilevel, levels: [{}]}}\n  \
                 - id: large-order\n    component: large-order\n    \
                 condition: {{field: sale.amount, op: between, value: ['250', '1000']}}\n    \
                 calculation: {{type: unilevel, levels: [{{level: 1, percentage: '0.50'}}, \
                 {{level: 2, percentage: '0.25'}}]}}\n  \
                 - id: small-order\n    component: small-order\n    \
                 condition: {{any: [{{field: sale.amount, op: '<', value: '50'}}, \
                 {{field: sale.order_kind, op: '=', value: SUBSCRIPTION}}]}}\n    \
                 calculation: {{type: fixed, to: sponsor, amount: {{EUR: '0.25', CZK: '5'}}}}\n",
                levels("1.75")
            ),
        };
        format!(
            "plan: bench\nversion: '1'\nvalid_from: 2020-01-01\nmax_levels: {LEVELS}\nrules:\n{rules}"
        )
    }

    /// Applies the plan.
    pub(crate) async fn apply(self, pool: &PgPool) -> anyhow::Result<()> {
        let mut tx = pool.begin().await?;
        let ladder = store::programme::ladder(&mut tx).await?;
        let calendar = store::programme::get(&mut tx).await?;
        let file = domain::plan::PlanFile::from_yaml(&self.yaml())?;
        let rule_set = domain::rule_set::RuleSet::compile(&file, &ladder, &calendar)
            .map_err(|flaws| anyhow::anyhow!("{}", flaws[0]))?;
        let application = plans::Application {
            rule_set: &rule_set,
            file_hash: [0; 32],
            applied_by: "bench",
            reason: "bench",
        };
        plans::apply(&mut tx, &application).await?;
        Ok(tx.commit().await?)
    }
}
