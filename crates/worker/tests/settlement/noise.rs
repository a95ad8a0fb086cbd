//! Whatever anybody puts into Redis: the worker lives, pays nothing for it, and settles what is real.

use store::events;
use store::stream::Ringer;
use store::testing::fuzz::{Chance, Effort, NASTY, announced_seed};
use store::testing::{Process, World};
use uuid::Uuid;

use crate::network::{Dice, LADDER, LedgerRow, Model, PLAN, count, ledger, new_sale, post, record};

/// Rounds that take seconds.
const ROUNDS: usize = 8;
/// More memory than noise may ever cost, in KiB: a batch of the largest entries and as much again.
const MEMORY_GROWTH_MAX_KIB: u64 = 256 << 10;
/// Entries of other streams that a round has at most, besides the huge ones.
const NOISE_MAX: usize = 60;
const HUGE_BYTES: usize = 1 << 20;

async fn network(world: &World) -> (Model, domain::rule_set::RuleSet) {
    world.ladder(&LADDER).await;
    let rules = world.plan(PLAN).await;
    (Model::enrol(world, 20, &mut Dice::new(43)).await, rules)
}

fn worker(world: &World) -> Process {
    world.worker(&["--sweep-every", "1", "--reclaim-after", "1", "--batch", "50"])
}

/// Waits until nothing is left in the stream. What it lost is rung for again after ten seconds.
async fn wait_until_drained(ringer: &mut Ringer) {
    for _ in 0..600 {
        if matches!((ringer.length().await, ringer.pending().await), (Ok(0), Ok(0))) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("noise stays in the stream: {:?}", ringer.length().await);
}

/// Random fields and values, alone and among others, of every size.
async fn add_noise(chance: &mut Chance, ringer: &mut Ringer, settled: &[Uuid], huge: bool) {
    let text = |chance: &mut Chance| match chance.below(6) {
        0 => b"id".to_vec(),
        1 => chance.of(&NASTY).as_bytes().to_vec(),
        2 => {
            settled.get(chance.below(settled.len())).map_or(Vec::new(), |id| id.to_string().into())
        }
        3 => Uuid::from_u64_pair(chance.number(), chance.number()).to_string().into_bytes(),
        4 => Uuid::from_u64_pair(chance.number(), 0).urn().to_string().into_bytes(),
        _ => {
            let count = chance.below(300);
            chance.bytes(count)
        }
    };
    let fields = if chance.once_in(20) { 500 } else { chance.within(1..4) };
    let mut flat: Vec<Vec<u8>> = vec![b"*".to_vec()];
    for field in 0..fields {
        flat.push(if field == 0 && !chance.once_in(3) { b"id".to_vec() } else { text(chance) });
        flat.push(text(chance));
    }
    if huge {
        let at = chance.within(1..3);
        flat[at] = chance.bytes(HUGE_BYTES);
    }
    let flat: Vec<&[u8]> = flat.iter().map(Vec::as_slice).collect();
    ringer.raw("XADD", &flat).await.unwrap();
}

#[tokio::test]
async fn fuzz_noise_in_the_stream_is_acknowledged_and_pays_nothing() {
    let mut chance = Chance::new(announced_seed("-p worker --test settlement noise"));
    let world = World::new().await;
    let (model, rules) = network(&world).await;
    let mut worker = worker(&world);
    let mut ringer = world.ringer();
    let (mut sales, mut settled) = (Vec::new(), Vec::new());
    let before = worker.memory_peak_kib();
    for round in Effort::cases(ROUNDS).run() {
        for _ in 0..chance.below(NOISE_MAX) {
            add_noise(&mut chance, &mut ringer, &settled, false).await;
        }
        for _ in 0..chance.below(4) {
            add_noise(&mut chance, &mut ringer, &settled, true).await;
        }
        if round == 2 {
            // Far in the future: whatever comes later is counted on from there.
            let entry: [&[u8]; 3] = [b"9999999999999-7", b"id", b"?"];
            ringer.raw("XADD", &entry).await.unwrap();
        }
        if round == 3 {
            // Somebody else's group reads what it likes.
            ringer.raw("XGROUP CREATE", &[b"others", b"0"]).await.unwrap();
        }
        // Ids of sales that somebody rings for before they are recorded, and again afterwards.
        let new: Vec<_> = (0..chance.within(1..30))
            .map(|at| new_sale(&format!("{round}-{at}"), model.ids[chance.below(20)], "100"))
            .collect();
        let ids: Vec<Uuid> = new.iter().map(|sale| sale.id).collect();
        ringer.publish(&ids).await.unwrap();
        post(&world, &new).await;
        for _ in 0..chance.below(NOISE_MAX) {
            add_noise(&mut chance, &mut ringer, &ids, false).await;
        }
        world.wait_until_settled().await;
        wait_until_drained(&mut ringer).await;
        assert!(worker.is_running(), "round {round}");
        settled.extend(ids);
        sales.extend(new);
    }
    assert_eq!(count(&world, "select count(*) from event_failures").await, 0);
    let mut expected: Vec<LedgerRow> =
        sales.iter().flat_map(|sale| model.lines(sale, &rules)).collect();
    expected.sort_unstable();
    assert_eq!(ledger(&world.owner).await, expected);
    let after = worker.memory_peak_kib();
    assert!(after < before + MEMORY_GROWTH_MAX_KIB, "{after} KiB at most, from {before} KiB");
    assert!(worker.stop().success());
}

/// What somebody does to the keys while the worker runs: nothing stays unsettled for it.
async fn survive(mishap: &[(&str, &[&[u8]])], on_outcomes: bool) {
    let world = World::new().await;
    let (model, _) = network(&world).await;
    let mut worker = worker(&world);
    let mut ringer = world.ringer();
    let mut sales: Vec<_> =
        (0..30).map(|at| new_sale(&at.to_string(), model.ids[at % 20], "100")).collect();
    let now = events::clock(&mut world.owner.acquire().await.unwrap()).await.unwrap();
    for sale in &mut sales {
        // The sweep looks for what was recorded lately.
        sale.recorded_at = now;
    }
    post(&world, &sales[..10]).await;
    world.wait_until_settled().await;
    for (command, arguments) in mishap {
        if on_outcomes {
            ringer.raw_on_outcomes(command, arguments).await.unwrap();
        } else {
            ringer.raw(command, arguments).await.unwrap();
        }
    }
    // As ingest does: what cannot be rung for is left to the sweep.
    record(&world, &sales[10..]).await;
    let ids: Vec<Uuid> = sales[10..].iter().map(|sale| sale.id).collect();
    let _ = ringer.publish(&ids).await;
    world.wait_until_settled().await;
    wait_until_drained(&mut ringer).await;
    assert!(worker.is_running());
    // The way is free again: the next one is heard of at once, not found by the sweep.
    let next = [new_sale("next", model.ids[0], "100")];
    post(&world, &next).await;
    world.wait_until_settled().await;
    wait_until_drained(&mut ringer).await;
    // Announcements can be added again.
    ringer.raw_on_outcomes("XADD", &[b"*", b"type", b"?"]).await.unwrap();
    assert!(worker.stop().success());
}

#[tokio::test]
async fn a_text_at_the_streams_key_is_set_aside() {
    survive(&[("SET", &[b"not a stream"])], false).await;
}

#[tokio::test]
async fn a_list_at_the_streams_key_is_set_aside() {
    survive(&[("DEL", &[]), ("RPUSH", &[b"not a stream"])], false).await;
}

#[tokio::test]
async fn a_stream_whose_ids_are_used_up_is_set_aside() {
    let last: [&[u8]; 3] = [b"18446744073709551615-18446744073709551615", b"id", b"?"];
    survive(&[("XADD", &last)], false).await;
}

#[tokio::test]
async fn a_text_at_the_announcements_key_is_set_aside() {
    survive(&[("SET", &[b"not a stream"])], true).await;
}

#[tokio::test]
async fn an_announcements_stream_whose_ids_are_used_up_is_set_aside() {
    let last: [&[u8]; 3] = [b"18446744073709551615-18446744073709551615", b"id", b"?"];
    survive(&[("XADD", &last)], true).await;
}

#[tokio::test]
async fn a_group_that_was_moved_ahead_goes_back_to_what_it_skipped() {
    let far: [&[u8]; 2] = [b"workers", b"18446744073709551615-18446744073709551615"];
    survive(&[("XGROUP SETID", &far)], false).await;
}
