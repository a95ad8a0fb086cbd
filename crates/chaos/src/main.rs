//! `chaos`: private servers, real processes, steady load, faults from a printed seed; then an oracle
//! that shares no code with what it judges.

mod evidence;

fn main() {}
