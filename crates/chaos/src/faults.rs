//! What can go wrong: every kind of fault, with its name, its weight and what it needs for itself.

mod connections;
mod process;
mod sequence;
mod server;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::process::scale_to;
pub(crate) use self::sequence::Sequence;
use crate::load::World;
use crate::random::Random;

/// Places that the product can be told to die at; `store::failpoints` has the same names.
const FAILPOINTS: [&str; 7] = [
    "before_publish",
    "after_read",
    "after_lookup",
    "after_claim",
    "before_commit",
    "after_commit",
    "before_acknowledge",
];

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// A worker is killed at whatever instruction it is.
    KillWorker,
    /// An ingest is killed at whatever instruction it is.
    KillIngest,
    /// A process dies at a named place; the number is its place among [`FAILPOINTS`].
    Failpoint(usize),
    /// A worker stands still for longer than others leave it its entries, and then goes on.
    StopWorker,
    /// An ingest stands still, and then goes on.
    StopIngest,
    /// Workers: 1, then 4, then 1.
    Scale,
    /// The clock of a process is an hour off.
    ClockOff,
    /// Redis forgets everything.
    RedisFlushed,
    /// Redis dies and comes back with what its file holds.
    RedisRestarted,
    /// Redis dies and comes back with nothing.
    RedisLost,
    /// Redis has no memory left.
    RedisFull,
    /// Entries that name no event, or nothing at all, or what is settled.
    ForgedEntries,
    /// PostgreSQL dies and comes back.
    PostgresRestarted,
    /// PostgreSQL dies and stays away for some seconds.
    PostgresAway,
    /// PostgreSQL's disk is full.
    DiskFull,
    /// Connections to PostgreSQL are cut.
    PostgresCut,
    /// Every piece to and from PostgreSQL is late.
    PostgresDelayed,
    /// PostgreSQL takes no connections.
    PostgresRefused,
    /// PostgreSQL does not answer.
    PostgresSilent,
    /// Connections to Redis are cut.
    RedisCut,
    /// Every piece to and from Redis is late.
    RedisDelayed,
    /// Redis takes no connections.
    RedisRefused,
    /// Redis does not answer.
    RedisSilent,
    /// The connection is cut before PostgreSQL hears of a COMMIT.
    CommitUnheard,
    /// The connection is cut when PostgreSQL has heard of a COMMIT, and perhaps done it.
    CommitUnanswered,
}

/// What a fault needs for itself: two that need the same never come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Workers,
    Ingests,
    Processes,
    Postgres,
    Redis,
    Nothing,
}

impl Fault {
    /// Every kind.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![
            Self::KillWorker,
            Self::KillIngest,
            Self::StopWorker,
            Self::StopIngest,
            Self::Scale,
            Self::ClockOff,
            Self::RedisFlushed,
            Self::RedisRestarted,
            Self::RedisLost,
            Self::RedisFull,
            Self::ForgedEntries,
            Self::PostgresRestarted,
            Self::PostgresAway,
            Self::DiskFull,
            Self::PostgresCut,
            Self::PostgresDelayed,
            Self::PostgresRefused,
            Self::PostgresSilent,
            Self::RedisCut,
            Self::RedisDelayed,
            Self::RedisRefused,
            Self::RedisSilent,
            Self::CommitUnheard,
            Self::CommitUnanswered,
        ];
        all.extend((0..FAILPOINTS.len()).map(Self::Failpoint));
        all
    }

    /// The name by which `--only` and the report know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KillWorker => "kill_worker",
            Self::KillIngest => "kill_ingest",
            Self::Failpoint(place) => FAILPOINTS[place],
            Self::StopWorker => "stop_worker",
            Self::StopIngest => "stop_ingest",
            Self::Scale => "scale_workers",
            Self::ClockOff => "clock_off",
            Self::RedisFlushed => "redis_flushall",
            Self::RedisRestarted => "redis_restarted",
            Self::RedisLost => "redis_lost",
            Self::RedisFull => "redis_full",
            Self::ForgedEntries => "forged_entries",
            Self::PostgresRestarted => "postgres_restarted",
            Self::PostgresAway => "postgres_away",
            Self::DiskFull => "disk_full",
            Self::PostgresCut => "postgres_cut",
            Self::PostgresDelayed => "postgres_delayed",
            Self::PostgresRefused => "postgres_refused",
            Self::PostgresSilent => "postgres_silent",
            Self::RedisCut => "redis_cut",
            Self::RedisDelayed => "redis_delayed",
            Self::RedisRefused => "redis_refused",
            Self::RedisSilent => "redis_silent",
            Self::CommitUnheard => "commit_unheard",
            Self::CommitUnanswered => "commit_unanswered",
        }
    }

    /// What it is, for the report.
    pub(crate) fn says(self) -> String {
        let says = match self {
            Self::KillWorker => "kill -9 of a worker at random",
            Self::KillIngest => "kill -9 of an ingest at random",
            Self::Failpoint(place) => {
                let place = FAILPOINTS[place].replace('_', " ");
                return format!("kill -9 {place}");
            }
            Self::StopWorker => "SIGSTOP of a worker beyond the reclaim time, then SIGCONT",
            Self::StopIngest => "SIGSTOP of an ingest, then SIGCONT",
            Self::Scale => "workers 1 → 4 → 1",
            Self::ClockOff => "clock of one process off by an hour",
            Self::RedisFlushed => "Redis FLUSHALL",
            Self::RedisRestarted => "Redis killed, back with its append-only file",
            Self::RedisLost => "Redis killed, back without persistence",
            Self::RedisFull => "Redis memory full",
            Self::ForgedEntries => "forged stream entries and noise",
            Self::PostgresRestarted => "PostgreSQL immediate stop and restart",
            Self::PostgresAway => "PostgreSQL immediate stop, away for 3 to 8 s",
            Self::DiskFull => "disk full for PostgreSQL",
            Self::PostgresCut => "connections to PostgreSQL cut",
            Self::PostgresDelayed => "connections to PostgreSQL delayed",
            Self::PostgresRefused => "connections to PostgreSQL refused",
            Self::PostgresSilent => "connections to PostgreSQL silent",
            Self::RedisCut => "connections to Redis cut",
            Self::RedisDelayed => "connections to Redis delayed",
            Self::RedisRefused => "connections to Redis refused",
            Self::RedisSilent => "connections to Redis silent",
            Self::CommitUnheard => "connection cut before COMMIT arrives",
            Self::CommitUnanswered => "connection cut between COMMIT and its answer",
        };
        says.to_owned()
    }

    /// Reads a name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|fault| fault.name() == name)
    }

    /// How often it comes, beside others. What takes long comes less often.
    fn weight(self) -> u64 {
        match self {
            Self::KillWorker
            | Self::KillIngest
            | Self::CommitUnheard
            | Self::CommitUnanswered
            | Self::RedisFlushed
            | Self::PostgresRestarted => 3,
            Self::PostgresAway | Self::DiskFull | Self::Scale => 1,
            _ => 2,
        }
    }

    fn needs(self) -> Needs {
        match self {
            // The first place is an ingest's.
            Self::KillIngest | Self::StopIngest | Self::Failpoint(0) => Needs::Ingests,
            Self::KillWorker | Self::StopWorker | Self::Scale | Self::Failpoint(_) => {
                Needs::Workers
            }
            Self::ClockOff => Needs::Processes,
            Self::RedisFlushed
            | Self::RedisRestarted
            | Self::RedisLost
            | Self::RedisFull
            | Self::RedisCut
            | Self::RedisDelayed
            | Self::RedisRefused
            | Self::RedisSilent => Needs::Redis,
            Self::PostgresRestarted
            | Self::PostgresAway
            | Self::DiskFull
            | Self::PostgresCut
            | Self::PostgresDelayed
            | Self::PostgresRefused
            | Self::PostgresSilent
            | Self::CommitUnheard
            | Self::CommitUnanswered => Needs::Postgres,
            Self::ForgedEntries => Needs::Nothing,
        }
    }

    /// Whether both can happen at the same time.
    fn goes_with(self, other: Self) -> bool {
        let (one, two) = (self.needs(), other.needs());
        // A process reaches a failpoint only while both servers are there.
        let waits = |fault: Self| {
            matches!(fault, Self::Failpoint(_) | Self::CommitUnheard | Self::CommitUnanswered)
        };
        let hinders = |needs| {
            matches!(needs, Needs::Postgres | Needs::Redis | Needs::Workers | Needs::Ingests)
        };
        let of_processes = |needs| matches!(needs, Needs::Workers | Needs::Ingests);
        self != other
            && (one == Needs::Nothing || one != two)
            && !(one == Needs::Processes && of_processes(two))
            && !(two == Needs::Processes && of_processes(one))
            && !(waits(self) && hinders(two))
            && !(waits(other) && hinders(one))
    }

    /// Whether it cannot be had here, and why.
    pub(crate) fn is_left_out(self, world: &World) -> Option<String> {
        match self {
            Self::DiskFull => world.arena.disk.as_ref().err().cloned(),
            Self::ClockOff if process::libfaketime().is_none() => Some(
                "libfaketime is not installed (deploy/local/install-servers faketime)".to_owned(),
            ),
            _ => None,
        }
    }

    /// Makes it happen, and ends it. The draws come from a stream of its own.
    pub(crate) async fn happen(
        self,
        world: &Arc<World>,
        mut random: Random,
    ) -> anyhow::Result<Happened> {
        let random = &mut random;
        let arena = &world.arena;
        match self {
            Self::KillWorker => process::kill(&arena.running_workers(), random).await,
            Self::KillIngest => {
                process::kill(&arena.ingests.iter().collect::<Vec<_>>(), random).await
            }
            Self::Failpoint(0) => {
                process::failpoint(&arena.ingests.iter().collect::<Vec<_>>(), FAILPOINTS[0], random)
                    .await
            }
            Self::Failpoint(place) => {
                process::failpoint(&arena.running_workers(), FAILPOINTS[place], random).await
            }
            Self::StopWorker => process::stop(&arena.running_workers(), random).await,
            Self::StopIngest => {
                process::stop(&arena.ingests.iter().collect::<Vec<_>>(), random).await
            }
            Self::Scale => process::scale(world, random).await,
            Self::ClockOff => process::clock_off(world, random).await,
            Self::RedisFlushed => server::flush(arena).await,
            Self::RedisRestarted => server::restart_redis(arena, random, false).await,
            Self::RedisLost => server::restart_redis(arena, random, true).await,
            Self::RedisFull => server::fill_redis(arena, random).await,
            Self::ForgedEntries => server::forge(world, random).await,
            Self::PostgresRestarted => server::restart_postgres(arena, Duration::ZERO).await,
            Self::PostgresAway => {
                let away = Duration::from_millis(random.between(3_000, 8_000));
                server::restart_postgres(arena, away).await
            }
            Self::DiskFull => server::fill_disk(arena, random).await,
            Self::PostgresCut | Self::RedisCut => connections::cut(self, arena, random).await,
            Self::PostgresDelayed | Self::RedisDelayed => {
                connections::delay(self, arena, random).await
            }
            Self::PostgresRefused | Self::RedisRefused => {
                connections::refuse(self, arena, random).await
            }
            Self::PostgresSilent | Self::RedisSilent => {
                connections::silence(self, arena, random).await
            }
            Self::CommitUnheard | Self::CommitUnanswered => {
                connections::cut_commits(self, arena, random).await
            }
        }
    }
}

/// What became of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// It was injected; this is what it hit.
    Yes(String),
    /// It could not be: nobody came by.
    No(String),
}
