//! Packed inputs, as bytes that somebody may have changed.

use domain::inputs::Inputs;
use store::testing::fuzz::{Chance, Effort, announced_seed, mutate};

/// Cases that take seconds.
const CASES: usize = 100_000;

/// Bytes are refused, or are what packing gives: nothing is read that was not written. The one other
/// spelling, the extended version without any extension, packs to the plain version.
#[test]
fn fuzz_what_unpacks_packs_to_the_same_bytes() {
    let mut chance = Chance::new(announced_seed("-p ops --test fuzz"));
    let mut unpacked = 0;
    for case in Effort::cases(CASES).run() {
        let visits = chance.below(20);
        let mut bytes = vec![*chance.of(&[0, 1, 1, 2, 2, 3, 255])];
        let mut size = 18;
        if bytes[0] == 2 {
            let what = *chance.of(&[0, 1, 2, 3, 4]);
            bytes.push(what);
            if what & 2 == 2 {
                bytes.extend([0, 7, 161, 32, 0, 0, chance.bytes(1)[0], 0]);
            }
            size += if what & 1 == 1 { 8 } else { 0 };
        }
        for _ in 0..visits {
            let mut visit = chance.bytes(size);
            visit[17] %= 5;
            if size > 18 && !chance.once_in(8) {
                visit[18..20].copy_from_slice(&[0, 5]);
            }
            bytes.extend(visit);
        }
        if chance.once_in(3) {
            mutate(&mut chance, &mut bytes);
        }
        if let Ok(inputs) = Inputs::unpack(&bytes) {
            unpacked += 1;
            let canonical = match bytes.as_slice() {
                [2, 0, visits @ ..] => [&[1], visits].concat(),
                _ => bytes.clone(),
            };
            assert_eq!(inputs.pack(), canonical, "case {case}");
        }
    }
    assert!(unpacked > 1_000, "only {unpacked} were inputs: the test has lost its way");
}
