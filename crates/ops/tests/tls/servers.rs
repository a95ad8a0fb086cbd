//! A PostgreSQL and a Redis that speak TLS, with certificates of an authority made for the test. They
//! are this test's own: on free ports, ended with it, whatever the servers of `make test` are.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_mins(1);
/// Somebody may take a port between our asking for it and the server's.
const ATTEMPTS: usize = 5;

/// The servers; gone when dropped.
pub(crate) struct Servers {
    home: PathBuf,
    postgres: Child,
    redis: Option<Child>,
    pub(crate) postgres_port: u16,
    pub(crate) redis_tls_port: u16,
    /// Where the same Redis speaks no TLS.
    pub(crate) redis_plain_port: u16,
}

impl Servers {
    /// Starts both. Redis is left out where it was built without TLS.
    pub(crate) fn start() -> Self {
        let home = std::env::temp_dir().join(format!("lineage-tls-{}", std::process::id()));
        fs::create_dir_all(&home).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
        make_certificates(&home);
        let owner = Owner::find();
        owner.take(&home);
        let (postgres, postgres_port) = start_postgres(&home, &owner);
        let (redis, redis_plain_port, redis_tls_port) = start_redis(&home, &owner);
        Self { home, postgres, redis, postgres_port, redis_tls_port, redis_plain_port }
    }

    /// The authority that signed both servers' certificates.
    pub(crate) fn authority(&self) -> String {
        self.home.join("ca.crt").to_str().unwrap().to_owned()
    }

    /// One that signed nothing of theirs.
    pub(crate) fn other_authority(&self) -> String {
        self.home.join("other.crt").to_str().unwrap().to_owned()
    }

    pub(crate) fn has_redis(&self) -> bool {
        self.redis.is_some()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for server in [Some(&mut self.postgres), self.redis.as_mut()].into_iter().flatten() {
            // PostgreSQL ends its children on SIGQUIT, which a kill would leave behind.
            run(Command::new("kill").args(["-QUIT", &server.id().to_string()]), "kill");
            let begun = Instant::now();
            while matches!(server.try_wait(), Ok(None)) && begun.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = server.kill();
            let _ = server.wait();
        }
        let _ = fs::remove_dir_all(&self.home);
    }
}

/// PostgreSQL refuses to run as root, so root's servers run as another user.
struct Owner(Option<(u32, u32)>);

impl Owner {
    fn find() -> Self {
        let id = |arguments: &[&str]| -> Option<u32> {
            let output = Command::new("id").args(arguments).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse().ok()
        };
        if id(&["-u"]) != Some(0) {
            return Self(None);
        }
        let name = if id(&["-u", "postgres"]).is_some() { "postgres" } else { "nobody" };
        Self(Some((id(&["-u", name]).unwrap(), id(&["-g", name]).unwrap())))
    }

    /// Gives a directory, and what lies in it, to the servers' user.
    fn take(&self, directory: &Path) {
        let Some((user, group)) = self.0 else { return };
        chown(directory, Some(user), Some(group)).unwrap();
        for entry in fs::read_dir(directory).unwrap() {
            chown(entry.unwrap().path(), Some(user), Some(group)).unwrap();
        }
    }

    fn command(&self, program: &Path, home: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(home).stdin(Stdio::null());
        if let Some((user, group)) = self.0 {
            command.gid(group).uid(user);
        }
        command
    }
}

/// Two authorities, and a certificate for `localhost` that the first one signed. By name only: who
/// asks for 127.0.0.1 meets another name.
fn make_certificates(home: &Path) {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        command.current_dir(home).args(arguments.split(' '));
        run(&mut command, "openssl (Debian's postgresql brings it)");
    };
    for name in ["ca", "other"] {
        openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
             -subj /CN=lineage-test-{name} -keyout {name}.key -out {name}.crt \
             -addext basicConstraints=critical,CA:TRUE"
        ));
    }
    openssl(
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
         -keyout server.key -out server.csr",
    );
    fs::write(home.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
         -extfile names -out server.crt",
    );
    fs::set_permissions(home.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
}

fn start_postgres(home: &Path, owner: &Owner) -> (Child, u16) {
    let programs = postgres_programs();
    let mut initdb = owner.command(&programs.join("initdb"), home);
    initdb.args(["-D", "postgres", "-U", "lineage", "-E", "UTF8", "--locale=C", "--auth=trust"]);
    initdb.args(["--no-sync", "--no-instructions"]);
    run(&mut initdb, "initdb");
    for _ in 0..ATTEMPTS {
        let port = free_port();
        let mut command = owner.command(&programs.join("postgres"), home);
        command.args(["-D", "postgres", "-p", &port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "ssl_cert_file=../server.crt",
            "ssl_key_file=../server.key",
        ] {
            command.args(["-c", setting]);
        }
        // Not on the command line, so that a test can switch it off.
        let settings = "ssl = on\n";
        fs::write(home.join("postgres/postgresql.auto.conf"), settings).unwrap();
        let log = fs::File::create(home.join("postgres.log")).unwrap();
        let mut server = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && matches!(server.try_wait(), Ok(None)) {
            let lock = fs::read_to_string(home.join("postgres/postmaster.pid")).unwrap_or_default();
            if lock.lines().nth(7).is_some_and(|state| state.starts_with("ready")) {
                return (server, port);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = server.kill();
        let _ = server.wait();
    }
    panic!("PostgreSQL does not start: {}", log_of(home, "postgres.log"));
}

fn start_redis(home: &Path, owner: &Owner) -> (Option<Child>, u16, u16) {
    let program = ["redis-server", "valkey-server"].iter().find_map(|name| in_path(name));
    let program = program.expect("redis-server or valkey-server is missing: run `make test`");
    for _ in 0..ATTEMPTS {
        let (plain, tls) = (free_port(), free_port());
        let mut command = owner.command(&program, home);
        let text = format!(
            "--bind 127.0.0.1 --port {plain} --tls-port {tls} --tls-cert-file server.crt \
             --tls-key-file server.key --tls-ca-cert-file ca.crt --tls-auth-clients no --save \
             --appendonly no"
        );
        // `--save` wants an empty argument behind it.
        for argument in text.split_whitespace() {
            command.arg(argument);
            if argument == "--save" {
                command.arg("");
            }
        }
        let log = fs::File::create(home.join("redis.log")).unwrap();
        let mut server = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && matches!(server.try_wait(), Ok(None)) {
            let said = log_of(home, "redis.log");
            if said.contains("Ready to accept connections") {
                return (Some(server), plain, tls);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = server.kill();
        let _ = server.wait();
        let said = log_of(home, "redis.log");
        if said.contains("Bad directive") || said.contains("without TLS") {
            eprintln!("{} was built without TLS: Redis is left out here", program.display());
            return (None, plain, tls);
        }
    }
    panic!("Redis does not start: {}", log_of(home, "redis.log"));
}

/// As `deploy/local/servers.sh` finds it: in the path, else the newest installed.
fn postgres_programs() -> PathBuf {
    if let Some(initdb) = in_path("initdb") {
        let directory = initdb.canonicalize().unwrap().parent().unwrap().to_owned();
        if directory.join("postgres").exists() {
            return directory;
        }
    }
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir("/usr/lib/postgresql").into_iter().flatten() {
        let path = entry.unwrap().path();
        let major = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        if let Some(major) = major.filter(|_| path.join("bin/postgres").exists()) {
            found.push((major, path.join("bin")));
        }
    }
    found.sort();
    found.pop().expect("PostgreSQL's initdb is missing: run `make test`").1
}

#[expect(clippy::disallowed_methods, reason = "tests are configured by the environment alone")]
fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').map(|directory| Path::new(directory).join(name)).find(|path| path.exists())
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn log_of(home: &Path, name: &str) -> String {
    fs::read_to_string(home.join(name)).unwrap_or_default()
}

fn run(command: &mut Command, what: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}
