//! Every type of calculation at once, settled by real workers, against one sale after the other.

use chrono::TimeDelta;
use domain::amount::{Amount, Percentage};
use domain::history::{Change, What};
use domain::inputs::Inputs;
use domain::reward_split::RewardSplit;
use domain::sale::SaleLine;
use store::changes::{self, Order};
use store::events::NewEvent;
use store::testing::World;
use uuid::Uuid;

use crate::network::{Dice, LADDER, LedgerRow, Model, ledger, moment, new_sale, post};

const PLAN: &str = r#"
plan: everything
version: "1"
valid_from: 2020-01-01
max_levels: 5
caps:
  line: {amount: {EUR: "12.00"}}
  sale: {percentage: "30", mode: lowest_level_first}
rules:
  - id: compressed
    component: levels
    calculation:
      type: unilevel
      compression: dynamic
      levels:
        - {level: 0, percentage: "1.00"}
        - {level: 1, percentage: "7.00", career_points_percentage: "10.00"}
        - {level: 2, through: 4, percentage: "3.33", min_rank: SILVER}
        - {level: 5, rates: [{rank: MEMBER, percentage: "0.50"}, {rank: GOLD, percentage: "2.00"}]}
  - id: tea
    component: levels
    priority: 5
    condition: {field: sale.category, op: "=", value: tea}
    calculation:
      type: unilevel
      basis: volume
      point_value: {EUR: "0.85"}
      unqualified: roll_up
      levels: [{level: 1, percentage: "5.00"}, {level: 3, percentage: "2.00", min_rank: GOLD}]
  - id: stairs
    component: override
    eligibility: {field: beneficiary.days_since_joining, op: ">=", value: "30"}
    calculation:
      type: differential
      seller: counted
      rates: [{rank: MEMBER, percentage: "1"}, {rank: SILVER, percentage: "2.5"}, {rank: GOLD, percentage: "4"}]
      equal_rank: {percentage: "0.25", depth: 1}
  - id: start
    component: start
    calculation: {type: fast_start, days: 60, percentage: "4.00"}
  - id: size
    component: size
    condition: {field: sale.amount, op: ">", value: "200"}
    calculation:
      type: marginal_tiers
      tiers: [{from: "0", percentage: "0.5"}, {from: "300", percentage: "1"}]
"#;

/// Half of the members share with their referrals.
async fn share_rewards(world: &World, model: &mut Model, dice: &mut Dice) {
    let percent = |units: u64| Percentage::from_units(units as u32 * 10_000).unwrap();
    for place in 0..model.ids.len() / 2 {
        let member_id = model.ids[place * 2];
        let split = RewardSplit {
            money_to_self: percent(dice.below(100)),
            points_to_self: percent(dice.below(100)),
        };
        let change = Change {
            member_id,
            effective_at: Some(moment() - TimeDelta::days(1)),
            what: What::Split {
                money_to_self: Some(split.money_to_self),
                points_to_self: Some(split.points_to_self),
            },
        };
        let order = Order { changes: &[change], actor: "test", on_behalf_of: None, reason: "test" };
        let mut tx = world.owner.begin().await.unwrap();
        changes::apply(&mut tx, &order).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        model.splits.insert(member_id, split);
    }
}

/// A sale of no, one or several lines.
fn random_sale(number: usize, model: &Model, dice: &mut Dice) -> NewEvent {
    let seller = model.ids[dice.below(model.ids.len() as u64) as usize];
    let cents = |dice: &mut Dice| Amount::from_units(i128::from(dice.below(40_000)) * 100).unwrap();
    let mut sale = new_sale(&number.to_string(), seller, "1");
    let lines: Vec<SaleLine> = (0..dice.below(4))
        .map(|place| SaleLine {
            id: place.to_string(),
            product_id: "SKU".to_owned(),
            category: (dice.below(2) == 0).then(|| "tea".to_owned()),
            quantity: Amount::parse("1").unwrap(),
            amount: cents(dice),
            volume: cents(dice),
        })
        .collect();
    let total = |of: fn(&SaleLine) -> Amount| domain::amount::sum(lines.iter().map(of)).unwrap();
    (sale.facts.amount, sale.facts.volume) = if lines.is_empty() {
        (Amount::parse("123.45").unwrap(), cents(dice))
    } else {
        (total(|line| line.amount), total(|line| line.volume))
    };
    if sale.facts.amount.is_zero() && sale.facts.volume.is_zero() {
        return random_sale(number, model, dice);
    }
    sale.facts.lines = lines;
    sale
}

/// L4, L5: with every type of calculation, compression, lines, caps and splits, batches of any size
/// pay what one sale after the other pays, and store the same inputs.
#[tokio::test]
async fn l5_every_calculation_pays_in_batches_what_it_pays_one_by_one() {
    for (batch, seed) in [("1", 31), ("13", 32), ("500", 33)] {
        let world = World::new().await;
        world.ladder(&LADDER).await;
        let rules = world.plan(PLAN).await;
        let mut dice = Dice::new(seed);
        let mut model = Model::enrol(&world, 60, &mut dice).await;
        // Some joined long ago, some lately: fast start and eligibility tell them apart.
        for place in 0..model.ids.len() {
            let joined_at = moment() - TimeDelta::days(dice.below(100) as i64);
            let id = model.ids[place];
            sqlx::query("update members set joined_at = $2 where id = $1")
                .bind(id)
                .bind(joined_at)
                .execute(&world.owner)
                .await
                .unwrap();
            model.joined_at.insert(id, joined_at);
        }
        share_rewards(&world, &mut model, &mut dice).await;
        let sales: Vec<NewEvent> =
            (0..150).map(|number| random_sale(number, &model, &mut dice)).collect();
        post(&world, &sales).await;
        let _workers = [world.worker(&["--batch", batch]), world.worker(&["--batch", batch])];
        world.wait_until_settled().await;

        let mut expected: Vec<LedgerRow> =
            sales.iter().flat_map(|sale| model.lines(sale, &rules)).collect();
        expected.sort_unstable();
        for rule in ["compressed", "tea", "stairs", "start", "size"] {
            assert!(expected.iter().any(|row| row.rule == rule), "{rule} pays something");
        }
        assert!(expected.iter().any(|row| row.entry_type == "REFERRAL_REWARD"));
        assert_eq!(ledger(&world.owner).await, expected);

        let query = "select event_id, breakage::text, inputs from commission_outcomes";
        let stored: Vec<(Uuid, String, Vec<u8>)> =
            sqlx::query_as(query).fetch_all(&world.owner).await.unwrap();
        for (event_id, breakage, packed) in stored {
            let sale = sales.iter().find(|sale| sale.id == event_id).unwrap();
            let (settlement, mut inputs) = model.settle(sale, &rules);
            inputs.keep_read(settlement.visited(), rules.reads().joined_at);
            assert_eq!(breakage, settlement.breakage.to_string());
            assert_eq!(Inputs::unpack(&packed).unwrap(), inputs);
        }
        world.assert_proved().await;
    }
}
