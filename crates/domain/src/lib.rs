//! Lineage's pure core: what a sale pays, to whom, and why.
//!
//! Everything here is a function over plain data. This crate knows no clock, no randomness, no
//! environment, no database and no network (law L4): the same event, inputs and rule set give
//! the same bytes on every machine and in every year. Live settlement, verification, plan checks
//! and tests all call these functions (law L10).
//!
//! Reading order: [`amount`] and [`period`] (the measures), [`member`], [`ladder`] and [`sale`]
//! (the facts), [`plan`] (what a plan file says), [`rule_set`] (what it is compiled to),
//! [`rule_book`] (which version prices a sale), [`rule_diff`] (what a version changes), [`settle`]
//! (the calculation), [`inputs`] (what is stored so that it can be repeated), [`recompute`] and
//! [`explain`] (repeating and telling it), [`network`] (the tree of sponsors, checked before import),
//! [`history`] (moves and changes of status or rank, checked at their moments), [`scenario`] (worked
//! examples, as files).
#![deny(clippy::float_arithmetic)]

pub mod amount;
pub mod calculation;
pub mod calendar;
pub mod caps;
pub mod condition;
pub mod decision;
pub mod explain;
pub mod flaws;
pub mod history;
pub mod inputs;
pub mod ladder;
pub mod line;
pub mod member;
pub mod network;
pub mod period;
pub mod plan;
pub mod recompute;
pub mod reward_split;
pub mod rule_book;
pub mod rule_diff;
pub mod rule_set;
pub mod sale;
pub mod scenario;
pub mod schema;
pub mod settle;
pub mod text;
pub mod yaml;
