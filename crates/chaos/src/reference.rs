//! A stand-in: the ladder and the plan that the load applies.

/// Ranks, lowest first.
pub(crate) const LADDER: [&str; 3] = ["MEMBER", "SILVER", "GOLD"];

/// The plan.
pub(crate) const PLAN_YAML: &str = include_str!("../plan.yaml");
