//! The witness beside sound processes, and beside those that break a law on purpose.

use std::time::Duration;

use super::*;
use crate::small_world::Small;
use secrecy::ExposeSecret as _;

fn witness_of(small: &Small) -> Witness {
    let database_url = small.world.database_url().expose_secret().to_owned();
    let redis_url = small.world.redis_url().expose_secret().to_owned();
    Witness::start(database_url, redis_url, small.world.name().to_owned())
}

/// Waits until the witness has had the time to hear and ask about everything announced so far.
async fn let_it_hear(small: &Small) {
    small.wait_until_decided().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn beside_sound_processes_it_has_nothing_to_tell() {
    let mut small = Small::new(61).await;
    let witness = witness_of(&small);
    let ingest = small.world.ingest(&[]);
    let _worker = small.world.worker(&["--sweep-every", "1"]);
    small.enrol(&ingest, 8).await;
    small.sell(&ingest, "sound", 40).await;
    // What names no event is acknowledged, not announced; and it was forged.
    let forged = Uuid::from_u128(7);
    small.world.ringer().publish(&[forged]).await.unwrap();
    small.world.ringer().add_noise("id", b"noise").await.unwrap();
    let_it_hear(&small).await;
    assert_eq!(witness.stop(&[forged]).await, []);
}

#[tokio::test]
async fn what_is_forged_and_not_owned_up_to_is_told() {
    let mut small = Small::new(62).await;
    let witness = witness_of(&small);
    let ingest = small.world.ingest(&[]);
    let _worker = small.world.worker(&["--sweep-every", "1"]);
    small.enrol(&ingest, 3).await;
    small.sell(&ingest, "one", 1).await;
    small.world.ringer().publish(&[Uuid::from_u128(7)]).await.unwrap();
    let_it_hear(&small).await;
    let promises: Vec<&str> = witness.stop(&[]).await.iter().map(|told| told.promise).collect();
    assert_eq!(promises, [promise::PUBLISHED]);
}

#[tokio::test]
async fn a_witness_that_heard_nothing_says_so() {
    let small = Small::new(63).await;
    let witness = witness_of(&small);
    let promises: Vec<&str> = witness.stop(&[]).await.iter().map(|told| told.promise).collect();
    assert_eq!(promises, [promise::AWAKE, promise::AWAKE]);
}

/// The streams vanish and begin again under its ears.
#[tokio::test]
async fn it_survives_the_loss_of_the_streams() {
    let mut small = Small::new(64).await;
    let witness = witness_of(&small);
    let ingest = small.world.ingest(&[]);
    let _worker = small.world.worker(&["--sweep-every", "1"]);
    small.enrol(&ingest, 3).await;
    small.sell(&ingest, "before", 5).await;
    let_it_hear(&small).await;
    small.world.ringer().remove_streams().await.unwrap();
    small.world.ringer().publish(&[Uuid::from_u128(7)]).await.unwrap();
    small.sell(&ingest, "after", 5).await;
    let_it_hear(&small).await;
    let promises: Vec<&str> = witness.stop(&[]).await.iter().map(|told| told.promise).collect();
    assert_eq!(promises, [promise::PUBLISHED], "it went on listening");
}

/// A worker that acknowledges first announces what is not settled yet.
#[tokio::test]
async fn l2_acknowledging_before_the_commit_is_told() {
    let mut small = Small::new(65).await;
    let witness = witness_of(&small);
    let ingest = small.world.ingest(&[]);
    let sabotage = [("LINEAGE_SABOTAGE", "acknowledge_before_commit")];
    let _worker = small.world.failing_worker(&sabotage, &["--sweep-every", "1"]);
    small.enrol(&ingest, 8).await;
    small.sell(&ingest, "early", 60).await;
    let_it_hear(&small).await;
    let told = witness.stop(&[]).await;
    assert!(told.iter().any(|told| told.promise == promise::ANNOUNCED), "{told:?}");
    assert!(told.iter().all(|told| told.promise == promise::ANNOUNCED), "{told:?}");
}

/// An ingest that rings first publishes what is not committed yet.
#[tokio::test]
async fn l2_publishing_before_the_insert_is_told() {
    let mut small = Small::new(66).await;
    let witness = witness_of(&small);
    let sabotage = [("LINEAGE_SABOTAGE", "publish_before_insert")];
    let ingest = small.world.failing_ingest(&sabotage, &[]);
    small.enrol(&ingest, 8).await;
    small.sell(&ingest, "early", 60).await;
    // Nobody settles here: a worker would only hear of events before they are there.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let told = witness.stop(&[]).await;
    let broken = told.iter().filter(|told| told.promise == promise::PUBLISHED).count();
    assert!(broken > 0, "{told:?}");
}
