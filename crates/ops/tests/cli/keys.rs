//! Keys, as an operator handles them: what is printed, and what is put on record.

use serde_json::Value;
use store::testing::World;

use crate::acting::digest_of_words;
use crate::network::done;

/// Runs a command that succeeds; what it prints.
async fn lineage(world: &World, arguments: &[&str]) -> String {
    let mut command = world.lineage();
    command.args(arguments);
    let done = done(command).await;
    assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.err);
    done.out.trim().to_owned()
}

/// Runs a command that is refused; what it says.
async fn refused(world: &World, arguments: &[&str]) -> String {
    let mut command = world.lineage();
    command.args(arguments);
    let done = done(command).await;
    assert!(done.code == Some(1) && done.out.is_empty(), "{arguments:?}: {}", done.out);
    done.err
}

async fn listed(world: &World) -> Value {
    let listed = lineage(world, &["keys", "list", "--format", "json"]).await;
    serde_json::from_str::<Value>(&listed).unwrap()[0].take()
}

/// An action on record: what, on what, how it ended, and for whom.
type Recorded = (String, String, String, Option<String>);

#[tokio::test]
async fn keys_are_rotated_signed_and_revoked_on_record() {
    let world = World::new().await;
    let create = ["keys", "create", "shop", "--scopes", "read", "--rate", "5", "--expires", "90"];
    let key = lineage(&world, &create).await;
    let id = key.split('_').nth(1).unwrap().to_owned();
    let made = listed(&world).await;
    assert_eq!((&made["rate_per_second"], &made["signing_secrets"]), (&5.into(), &0.into()));
    assert!(made["expires_at"].is_string() && made["previous_secret"].is_null(), "{made}");

    let for_whom = ["--on-behalf-of", "Jana Nováková", "--reason", "spring cleaning"];
    let rotate = ["keys", "rotate", &id, "--grace", "48"];
    let second = lineage(&world, &[&rotate[..], &for_whom].concat()).await;
    assert!(second.starts_with(&format!("lk_{id}_")) && second != key, "the same key");
    let previous = listed(&world).await["previous_secret"].take();
    assert!(previous["works_until"].is_string() && previous["last_used_at"].is_null());
    let said = refused(&world, &["keys", "rotate", &id]).await;
    for way_out in ["--drop oldest", "--drop newest", "--grace 0", "two secrets work already"] {
        assert!(said.contains(way_out), "{said}");
    }
    lineage(&world, &["keys", "rotate", &id, "--drop", "oldest"]).await;
    lineage(&world, &["keys", "rotate", &id, "--grace", "0"]).await;
    assert!(listed(&world).await["previous_secret"].is_null(), "all older ones have ended");
    let said = refused(&world, &["keys", "rotate", &id, "--drop", "newest"]).await;
    assert!(said.contains("leave --drop away"), "{said}");

    let signing = lineage(&world, &["keys", "signing-secret", &id]).await;
    assert!(signing.starts_with("whsec_") && signing.len() == "whsec_".len() + 44, "{signing}");
    let said = refused(&world, &["keys", "signing-secret", &id]).await;
    assert!(said.contains("--rotate") && said.contains("--remove"), "{said}");
    let another = lineage(&world, &["keys", "signing-secret", &id, "--rotate"]).await;
    assert_ne!(another, signing);
    assert_eq!(listed(&world).await["signing_secrets"], 2);
    lineage(&world, &["keys", "signing-secret", &id, "--remove"]).await;
    assert_eq!(listed(&world).await["signing_secrets"], 0);
    refused(&world, &["keys", "signing-secret", &id, "--remove"]).await;

    // Who pastes the whole key means its id; its secret is not put on record.
    lineage(&world, &["keys", "revoke", &key]).await;
    let secret = key.rsplit('_').next().unwrap();
    let query = "select count(*) from operator_actions a where a::text like '%' || $1 || '%'";
    let with_secret: i64 =
        sqlx::query_scalar(query).bind(secret).fetch_one(&world.owner).await.unwrap();
    assert_eq!(with_secret, 0);
    refused(&world, &["keys", "revoke", &id]).await;
    assert!(refused(&world, &["keys", "rotate", &id]).await.contains("is revoked"));
    assert!(refused(&world, &["keys", "rotate", "nobody"]).await.contains("no such key"));

    let query = "select action, subject, result, on_behalf_of from operator_actions order by id";
    let recorded: Vec<Recorded> = sqlx::query_as(query).fetch_all(&world.owner).await.unwrap();
    let ended: Vec<_> = recorded.iter().map(|row| (row.0.as_str(), row.2.as_str())).collect();
    let (rotate, signing) = ("key.rotate", "key.signing_secret");
    assert_eq!(
        ended,
        [
            ("key.create", "done"),
            (rotate, "done"),
            (rotate, "refused"),
            (rotate, "done"),
            (rotate, "done"),
            (rotate, "refused"),
            (signing, "done"),
            (signing, "refused"),
            (signing, "done"),
            (signing, "done"),
            (signing, "refused"),
            ("key.revoke", "done"),
            ("key.revoke", "refused"),
            (rotate, "refused"),
            (rotate, "refused"),
        ]
    );
    assert_eq!(recorded[1].3.as_deref(), Some("Jana Nováková"));
    assert!(recorded[..14].iter().all(|row| row.1 == id), "{recorded:?}");
    let query = "select encode(arguments_digest, 'hex') from operator_actions where id = 1";
    let digest: String = sqlx::query_scalar(query).fetch_one(&world.owner).await.unwrap();
    assert_eq!(digest, digest_of_words(&create), "of the words, as for every other command");
    let query = "select actor || ' ' || detail from operator_actions where id = 2";
    let second: String = sqlx::query_scalar(query).fetch_one(&world.owner).await.unwrap();
    assert!(second.starts_with("role:") && second.ends_with("; spring cleaning"), "{second}");
}
