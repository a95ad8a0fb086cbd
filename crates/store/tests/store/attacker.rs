//! Who holds a binary's login, or a hole in it, and tries what attackers try: as each role, assumed
//! and with a login of its own, against the walls of the database. Every refusal is known by its
//! SQLSTATE.

mod ends;
mod history;
mod roles;
mod writing;

use secrecy::ExposeSecret as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use store::StoreError;
use store::database::{Access, Role};
use store::testing::World;

const ROLES: [Role; 3] = [Role::Ingest, Role::Worker, Role::Ops];

/// PostgreSQL's "insufficient privilege".
const DENIED: &str = "42501";
/// What the append-only triggers say.
const APPEND_ONLY: &str = "23001";
/// A check constraint.
const CHECKED: &str = "23514";

/// Logins with the rights of one role each; gone when dropped.
struct Logins {
    names: [String; 3],
    server: String,
}

impl Logins {
    async fn new(world: &World) -> Self {
        let url = world.database_url().expose_secret().to_owned();
        let names = ROLES.map(|role| format!("{}_{}", world.name(), role.name()));
        let logins = Self { names, server: url };
        for (name, role) in logins.names.iter().zip(ROLES) {
            let role = role.name();
            let create = format!("create role {name} login password 'of {name}' in role {role}");
            execute(&world.owner, &create).await.unwrap();
        }
        logins
    }

    fn url(&self, role: Role) -> String {
        let place = ROLES.iter().position(|known| *known == role).unwrap();
        let name = &self.names[place];
        let (scheme, rest) = self.server.split_once("://").unwrap();
        let authority = rest.find('/').unwrap_or(rest.len());
        let host = rest[..authority].rfind('@').map_or(0, |at| at + 1);
        format!("{scheme}://{name}:of%20{name}@{}", &rest[host..])
    }

    fn pool(&self, role: Role) -> PgPool {
        Access::with_own_login(self.url(role).into(), "attacker").pool(1).unwrap()
    }
}

impl Drop for Logins {
    fn drop(&mut self) {
        let (names, server) = (self.names.clone(), self.server.clone());
        let clean_up = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let mut admin = PgConnection::connect(&server).await.unwrap();
                for name in names {
                    let drop = format!("drop role if exists {name}");
                    let _ = sqlx::query(AssertSqlSafe(drop)).execute(&mut admin).await;
                }
            });
        });
        let _ = clean_up.join();
    }
}

/// A database, and pools of each role: assumed, and with a login of its own.
struct Fortress {
    pools: Vec<(Role, &'static str, PgPool)>,
    logins: Logins,
    world: World,
}

impl Fortress {
    async fn new() -> Self {
        let world = World::new().await;
        let logins = Logins::new(&world).await;
        let mut conn = world.owner.acquire().await.unwrap();
        let month = "2026-11-01".parse().unwrap();
        store::ledger::ensure_partition(&mut conn, month).await.unwrap();
        let mut pools = Vec::new();
        for role in ROLES {
            let assumed = Access::assuming(role, world.database_url(), "attacker").pool(1).unwrap();
            pools.push((role, "assumed", assumed));
            pools.push((role, "own login", logins.pool(role)));
        }
        Self { pools, logins, world }
    }

    /// Tries statements as every role. Expected are the SQLSTATEs for ingest, worker and operators,
    /// empty for what the role may do.
    async fn hold<T: AsRef<str>>(&self, cases: impl IntoIterator<Item = (T, [&str; 3])>) {
        let mut fallen = Vec::new();
        for (statement, expected) in cases {
            let statement = statement.as_ref();
            for (role, how, pool) in &self.pools {
                let place = ROLES.iter().position(|known| known == role).unwrap();
                let said = execute(pool, statement).await;
                let state = said.as_ref().err().and_then(StoreError::sqlstate).unwrap_or_default();
                if state != expected[place] {
                    let (role, expected) = (role.name(), expected[place]);
                    let said = said.map_or_else(|error| error.to_string(), |_| "done".to_owned());
                    fallen.push(format!(
                        "{role} ({how}): {statement}: {state} instead of {expected}: {said}"
                    ));
                }
            }
        }
        assert!(fallen.is_empty(), "{fallen:#?}");
    }
}

async fn execute(pool: &PgPool, statement: &str) -> Result<u64, StoreError> {
    let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(pool).await?;
    Ok(done.rows_affected())
}
