//! `chaos`: private servers, real processes, steady load, faults from a printed seed; then an oracle
//! that shares no code with what it judges.

mod evidence;
mod oracle;
mod reference;
#[cfg(test)]
mod small_world;
mod witness;

fn main() {}
