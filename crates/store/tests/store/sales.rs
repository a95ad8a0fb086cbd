//! Sales come back with everything that they were recorded with, to whoever reads them.

use domain::amount::Amount;
use domain::rule_set::Reads;
use domain::sale::{self, BuyerType, OrderKind, Sale, SaleLine, SourceType};
use store::audit;
use store::database::Role;
use store::events::{self, Details, Facts, NewEvent};
use store::settling::{self, Outcome};
use store::testing::World;
use store::{PgPool, StoreError};
use uuid::Uuid;

const READS: Reads = Reads { depth: 3, joined_at: false };

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

/// A sale of so many lines, each of 1.5.
fn sale_of(name: &str, lines: u32) -> NewEvent {
    let line = |number: u32| SaleLine {
        // Neither the order of places nor that of ids is the other's.
        id: format!("line-{}", 1_000 - number),
        product_id: format!("SKU-{number}"),
        category: number.is_multiple_of(2).then(|| "tea".to_owned()),
        quantity: amount("0.0001"),
        amount: amount("1.5"),
        volume: Amount::ZERO,
    };
    let lines: Vec<SaleLine> = (0..lines).map(line).collect();
    let whole = lines.is_empty();
    let total = Amount::from_units(15_000 * lines.len() as i128).unwrap();
    NewEvent {
        id: sale::event_id("test", name),
        source: "test".to_owned(),
        external_id: name.to_owned(),
        facts: Facts {
            member_id: Uuid::from_u128(7),
            occurred_at: "2026-11-03T10:15:00Z".parse().unwrap(),
            source_type: SourceType::Investment,
            currency: "CZK".parse().unwrap(),
            amount: if whole { amount("1") } else { total },
            volume: Amount::ZERO,
            product_id: Some("bundle".to_owned()),
            order_kind: if whole { OrderKind::Standard } else { OrderKind::Enrolment },
            market: (!whole).then(|| "CZ".to_owned()),
            buyer_type: (!whole).then_some(BuyerType::Member),
            lines,
        },
        details: Details::default(),
        recorded_at: "2026-11-03T10:15:01Z".parse().unwrap(),
        earned_period: "2026-11-01".parse().unwrap(),
    }
}

async fn record(pool: &PgPool, sales: &[NewEvent]) -> Vec<Uuid> {
    let mut sorted: Vec<&NewEvent> = sales.iter().collect();
    sorted.sort_unstable_by_key(|sale| sale.id);
    let mut tx = pool.begin().await.unwrap();
    let new = events::record(&mut tx, &sorted).await.unwrap();
    tx.commit().await.unwrap();
    new
}

/// The sale as the calculation is to read it.
fn priced(event: &NewEvent) -> Sale {
    let facts = event.facts.clone();
    Sale {
        event_id: event.id,
        amount: facts.amount,
        volume: facts.volume,
        currency: facts.currency,
        source_type: facts.source_type,
        product_id: facts.product_id,
        order_kind: facts.order_kind,
        market: facts.market,
        buyer_type: facts.buyer_type,
        lines: facts.lines,
        as_of: facts.occurred_at,
        earned_period: "2026-11".parse().unwrap(),
    }
}

async fn read_to_settle(world: &World, ids: &[Uuid]) -> Result<Vec<Sale>, StoreError> {
    let mut tx = store::locks::begin_sharing_history(&world.pool_as(Role::Worker)).await.unwrap();
    let batch = settling::read(&mut tx, ids, READS).await?;
    Ok(batch.events.into_iter().map(|event| event.sale).collect())
}

fn sorted(mut sales: Vec<Sale>) -> Vec<Sale> {
    sales.sort_unstable_by_key(|sale| sale.event_id);
    sales
}

#[tokio::test]
async fn what_is_recorded_is_compared_settled_and_verified_as_it_was() {
    let world = World::new().await;
    let sales = [sale_of("whole", 0), sale_of("two", 2), sale_of("many", 500), sale_of("one", 1)];
    let ids: Vec<Uuid> = sales.iter().map(|sale| sale.id).collect();
    assert_eq!(record(&world.pool_as(Role::Ingest), &sales).await.len(), 4);
    let expected = sorted(sales.iter().map(priced).collect());

    let ingest = world.pool_as(Role::Ingest);
    let facts = events::facts(&mut ingest.acquire().await.unwrap(), &ids).await.unwrap();
    assert_eq!(facts.len(), 4);
    for (id, facts) in facts {
        assert_eq!(facts, sales.iter().find(|sale| sale.id == id).unwrap().facts);
    }

    let settled = read_to_settle(&world, &ids).await.unwrap();
    assert_eq!(sorted(settled), expected);
    let whole = read_to_settle(&world, &ids[..1]).await.unwrap();
    assert_eq!(whole, [priced(&sales[0])]);

    let worker = world.pool_as(Role::Worker);
    let outcomes: Vec<Outcome> = expected
        .iter()
        .map(|sale| Outcome {
            event_id: sale.event_id,
            plan_number: 1,
            breakage: Amount::ZERO,
            inputs: vec![1],
            lines: vec![],
        })
        .collect();
    settling::claim(&mut worker.acquire().await.unwrap(), &outcomes).await.unwrap();
    let mut ops = world.pool_as(Role::Ops).acquire().await.unwrap();
    let page = audit::outcomes_of(&mut ops, &ids).await.unwrap();
    assert_eq!(page.into_iter().map(|outcome| outcome.sale).collect::<Vec<_>>(), expected);
    let one = audit::outcome(&mut ops, ids[1]).await.unwrap().unwrap();
    assert_eq!(one.sale, priced(&sales[1]));
}

/// A repeat writes nothing, not even what the first time left out.
#[tokio::test]
async fn lines_and_details_are_written_with_a_new_event_only() {
    let world = World::new().await;
    let ingest = world.pool_as(Role::Ingest);
    let first = sale_of("first", 2);
    record(&ingest, std::slice::from_ref(&first)).await;
    let mut again = first.clone();
    again.details.buyer_id = Some("C-17".to_owned());
    let mut second = sale_of("second", 3);
    second.details = Details {
        buyer_id: None,
        order: Some(r#"{"a": 1}"#.to_owned()),
        context: Some(r#"{"b": "x"}"#.to_owned()),
    };
    assert_eq!(record(&ingest, &[again, second.clone()]).await, [second.id]);
    let mut conn = ingest.acquire().await.unwrap();
    for (sale, lines) in [(&first, 2), (&second, 3)] {
        let found = events::find(&mut conn, sale.id).await.unwrap().unwrap();
        assert_eq!(found.details, sale.details);
        assert_eq!((found.facts.lines.len(), found.facts), (lines, sale.facts.clone()));
    }
}

/// A sale is never priced by some of its lines, and `verify` says which sales are damaged.
#[tokio::test]
async fn a_sale_with_lines_missing_or_added_is_not_priced() {
    let world = World::new().await;
    let sales = [sale_of("whole", 0), sale_of("two", 2), sale_of("three", 3)];
    record(&world.owner, &sales).await;
    let nobody = Uuid::from_u128(1);
    let miscounted = async || {
        let mut conn = world.pool_as(Role::Ops).acquire().await.unwrap();
        let mut found = audit::orphans(&mut conn, None, 10).await.unwrap().sale_lines_miscounted;
        found.sort_unstable();
        found
    };
    assert!(miscounted().await.is_empty());
    let ids: Vec<Uuid> = sales.iter().map(|sale| sale.id).collect();
    for (statement, id) in [
        ("delete from event_lines where event_id = $1 and place = 1", ids[1]),
        (
            "insert into event_lines (event_id, place, id, product_id, quantity, amount, volume) \
             values ($1, 9, 'x', 'x', 1, 1, 1)",
            nobody,
        ),
    ] {
        let mut tx = world.owner.begin().await.unwrap();
        let disable = "alter table event_lines disable trigger append_only";
        sqlx::query(disable).execute(&mut *tx).await.unwrap();
        sqlx::query(statement).bind(id).execute(&mut *tx).await.unwrap();
        let enable = "alter table event_lines enable always trigger append_only";
        sqlx::query(enable).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
    let mut expected = [ids[1], nobody];
    expected.sort_unstable();
    assert_eq!(miscounted().await, expected);
    let error = read_to_settle(&world, &ids).await.unwrap_err();
    assert!(matches!(&error, StoreError::Damaged(what) if what.contains("1 lines instead of 2")));
    assert_eq!(read_to_settle(&world, &[ids[0], ids[2]]).await.unwrap().len(), 2);
}
