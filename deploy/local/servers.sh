# Private PostgreSQL and Redis servers. Sourced by its neighbours, never run.
#
# A server belongs to a directory, its *home*:
#
#   home/postgres, home/redis          data (a link into /var/tmp when the server's user
#                                      cannot reach the repository)
#   home/postgres.pid, home/redis.pid  "pid start-time", so that a reused pid is never mistaken
#   home/postgres.port, home/redis.port
#   home/password                      of both servers, random
#   home/initialised                   present once the database `lineage` exists
#   home/key                           an API key of that database (development stack only)
#
# Servers listen on 127.0.0.1 only and have no unix sockets: a socket's path is limited to about
# a hundred bytes, a clone's path is not.
# shellcheck shell=bash

readonly POSTGRES_MAJOR_MIN=15
readonly START_ATTEMPTS_MAX=10      # each with another port
readonly START_SECONDS_MAX=60       # long, because a killed server first recovers its data
readonly STOP_SECONDS_MAX=30
readonly REAP_SECONDS_MAX=10
readonly POLL_SECONDS=0.05
readonly LOG_TAIL_LINES=30
readonly OUTSIDE_PREFIX=/var/tmp/lineage.

# Two file descriptors hold locks, and whatever is left running must not inherit them:
# 8 a run's ownership of its home, 9 the lock on .local.

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

repository_root() { (cd "${BASH_SOURCE[0]%/*}/../.." && pwd -P); }

# ---- finding the binaries ---------------------------------------------------------------------

# Prints the directory that holds initdb and postgres: PATH's, else the newest installed.
find_postgres_bin() {
    local initdb dir major best='' best_major=0
    if initdb=$(command -v initdb); then
        initdb=$(readlink -f -- "$initdb") # a link to it need not have its siblings beside it
        dir=${initdb%/*}
        if (($(postgres_major "$dir") >= POSTGRES_MAJOR_MIN)); then
            printf '%s\n' "$dir"
            return
        fi
    fi
    for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin; do
        major=$(postgres_major "$dir")
        if ((major > best_major)); then
            best=$dir best_major=$major
        fi
    done
    ((best_major >= POSTGRES_MAJOR_MIN)) && printf '%s\n' "$best"
}

# 0 when DIR holds no complete server.
postgres_major() {
    local version=''
    if [[ -x $1/initdb && -x $1/postgres ]]; then
        version=$("$1/postgres" --version | sed -n 's/^[^0-9]*\([0-9][0-9]*\).*/\1/p')
    fi
    printf '%s\n' "${version:-0}"
}

find_redis_server() { command -v redis-server || command -v valkey-server; }

find_libfaketime() { compgen -G '/usr/lib*/faketime/libfaketimeMT.so.1' || compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1'; }

# ---- processes --------------------------------------------------------------------------------

# Clock ticks after boot at which PID started; fails when it is gone or a zombie.
process_start() {
    local stat
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
    read -r -a stat <<<"${stat##*) }" # the name before it may hold spaces
    [[ ${stat[0]} != Z ]] && printf '%s\n' "${stat[19]}"
}

# A killed process stays a zombie until init notices, and PostgreSQL takes it for a living one.
await_reaped() { # PIDFILE
    local pid='' start='' deadline=$((SECONDS + REAP_SECONDS_MAX))
    [[ -r $1 ]] && read -r pid start <"$1"
    while [[ -n $pid && -e /proc/$pid ]] && ! process_start "$pid" >/dev/null && ((SECONDS < deadline)); do
        sleep "$POLL_SECONDS"
    done
}

record_process() { # FILE PID
    printf '%s %s\n' "$2" "$(process_start "$2" || true)" >"$1"
}

# Prints the pid that FILE records if that very process still runs.
running_pid() {
    local pid='' start=''
    [[ -r $1 ]] && read -r pid start <"$1"
    [[ -n $pid && -n $start && $(process_start "$pid") == "$start" ]] && printf '%s\n' "$pid"
}

stop_process() { # PIDFILE SIGNAL SECONDS
    local pid deadline=$((SECONDS + $3))
    if pid=$(running_pid "$1"); then
        kill "-$2" "$pid" 2>/dev/null || true
        while running_pid "$1" >/dev/null && ((SECONDS < deadline)); do sleep "$POLL_SECONDS"; done
        if running_pid "$1" >/dev/null; then kill -KILL "$pid" || true; fi
    fi
    rm -f -- "$1"
}

# ---- ports and places -------------------------------------------------------------------------

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Prints a port that nobody listens on: PREFERRED (may be empty) if possible, else a random one
# below the range from which the kernel serves outgoing connections.
free_port() {
    local port=${1:-$((20000 + RANDOM % 12000))}
    while port_taken "$port"; do port=$((20000 + RANDOM % 12000)); done
    printf '%s\n' "$port"
}

# PostgreSQL refuses to run as root, so root's servers run as another user. setpriv and not
# runuser: it replaces itself, so that the pid we record is the server's.
AS_SERVER=()
SERVER_OWNER=''
if ((EUID == 0)); then
    SERVER_OWNER=$(id -un postgres 2>/dev/null || echo nobody)
    AS_SERVER=(setpriv "--reuid=$SERVER_OWNER" "--regid=$(id -g "$SERVER_OWNER")" --init-groups --)
fi

# Makes an empty data directory at PATH that the server's user can use.
place_data() {
    local outside
    discard_data "$1"
    mkdir -m 700 -- "$1"
    [[ -n $SERVER_OWNER ]] || return 0
    chown -- "$SERVER_OWNER" "$1"
    if ! "${AS_SERVER[@]}" test -w "$1"; then # a clone below /root, say
        rmdir -- "$1"
        outside=$(mktemp -d "${OUTSIDE_PREFIX}XXXXXXXX")
        chown -- "$SERVER_OWNER" "$outside"
        ln -s -- "$outside" "$1"
    fi
}

discard_data() {
    local outside
    if [[ -L $1 ]]; then
        outside=$(readlink -- "$1")
        if [[ $outside == "$OUTSIDE_PREFIX"* ]]; then rm -rf -- "$outside"; fi
    fi
    rm -rf -- "$1"
}

# Makes a home for servers; its password survives as long as it does.
prepare_home() {
    mkdir -p -- "$1"
    chmod 711 -- "$1" # the server's user has to pass, not to look
    if [[ ! -s $1/password ]]; then
        (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$1/password")
    fi
}

discard_home() {
    discard_data "$1/postgres"
    discard_data "$1/redis"
    rm -rf -- "$1"
}

# Waits until COMMAND succeeds; ends the process when it does not in time.
await_ready() { # PIDFILE COMMAND [ARG…]
    local pidfile=$1 deadline=$((SECONDS + START_SECONDS_MAX))
    shift
    while running_pid "$pidfile" >/dev/null && ((SECONDS < deadline)); do
        if "$@"; then return 0; fi
        sleep "$POLL_SECONDS"
    done
    stop_process "$pidfile" KILL "$STOP_SECONDS_MAX"
    return 1
}

# Starts one server, on another port when somebody was faster at this one.
start_server() { # HOME NAME LOG SPAWN READY; the last two are functions, called with HOME PORT
    local home=$1 name=$2 log=$3 spawn=$4 ready=$5 attempt port log_before
    log_before=$(log_size "$log")
    await_reaped "$home/$name.pid"
    for ((attempt = 1; attempt <= START_ATTEMPTS_MAX; attempt++)); do
        port=$(free_port "$(cat -- "$home/$name.port" 2>/dev/null || true)")
        "$spawn" "$home" "$port" >>"$log" 2>&1
        if await_ready "$home/$name.pid" "$ready" "$home" "$port"; then
            printf '%s\n' "$port" >"$home/$name.port"
            return 0
        fi
        port_taken "$port" || break
        rm -f -- "$home/$name.port"
    done
    report_failure "$name" "$log" "$log_before"
    return 1
}

log_size() { stat -c %s -- "$1" 2>/dev/null || echo 0; }

report_failure() { # NAME LOG BYTES; what the log held before is of earlier starts
    say "$1 did not start; the end of its log:"
    tail -c "+$(($3 + 1))" -- "$2" | tail -n "$LOG_TAIL_LINES" >&2
}

# ---- PostgreSQL -------------------------------------------------------------------------------

# Starts PostgreSQL in HOME unless it runs, and exports DATABASE_URL. DURABILITY is `durable` or
# `throwaway`: the latter loses data when the machine stops, never when only the server does.
start_postgres() { # HOME LOG DURABILITY
    local home=$1 log=$2 log_before
    POSTGRES_BIN=$(find_postgres_bin)
    mapfile -t POSTGRES_OPTIONS < <(postgres_settings "$3" | sed 's/^/--/')
    if ! running_pid "$home/postgres.pid" >/dev/null; then
        if [[ ! -e $home/initialised || ! -d $home/postgres ]]; then
            log_before=$(log_size "$log")
            create_database "$home" >>"$log" 2>&1 || {
                report_failure initdb "$log" "$log_before"
                return 1
            }
        fi
        start_server "$home" postgres "$log" spawn_postgres postgres_ready
    fi
    forget_other_urls DATABASE_URL
    export DATABASE_URL
    DATABASE_URL="postgres://lineage:$(<"$home/password")@127.0.0.1:$(<"$home/postgres.port")/lineage"
}

postgres_settings() {
    cat <<'EOF'
listen_addresses=127.0.0.1
unix_socket_directories=
cluster_name=lineage
logging_collector=off
timezone=UTC
log_timezone=UTC
max_connections=200
max_wal_size=2GB
jit=off
synchronous_commit=on
EOF
    if [[ $1 == throwaway ]]; then
        printf '%s\n' shared_buffers=128MB fsync=off full_page_writes=off
    else
        printf '%s\n' shared_buffers=1GB
        # Some distributions package it apart; the servers work without it.
        if [[ -e $("$POSTGRES_BIN/pg_config" --pkglibdir 2>/dev/null)/pg_stat_statements.so ]]; then
            printf '%s\n' shared_preload_libraries=pg_stat_statements
        fi
    fi
}

create_database() {
    local home=$1 locale made=''
    rm -f -- "$home/initialised" "$home/key"
    for locale in C.UTF-8 C; do # not every system has the first
        place_data "$home/postgres"
        if in_data "$home/postgres" "$POSTGRES_BIN/initdb" -D . -U lineage -E UTF8 --locale="$locale" \
            --auth=trust --no-sync --no-instructions; then
            made=yes
            break
        fi
    done
    # The password goes in through stdin, which the process list does not show, and nothing
    # listens before it is set.
    [[ -n $made ]] &&
        in_data "$home/postgres" tee pg_hba.conf <<<'host all all 127.0.0.1/32 scram-sha-256' &&
        in_data "$home/postgres" "$POSTGRES_BIN/postgres" --single -D . \
            -c fsync=off -c exit_on_error=on postgres <<EOF &&
alter role lineage password '$(<"$home/password")'
create database lineage
EOF
        : >"$home/initialised"
}

# Runs a command in the data directory as its owner, who may be unable to enter the caller's.
in_data() {
    local data=$1
    shift
    (cd -P -- "$data" && "${AS_SERVER[@]}" "$@")
}

spawn_postgres() { # HOME PORT
    (
        cd -P -- "$1/postgres" || exit
        exec setsid "${AS_SERVER[@]}" "$POSTGRES_BIN/postgres" -D . --port="$2" "${POSTGRES_OPTIONS[@]}"
    ) </dev/null 8>&- 9>&- &
    record_process "$1/postgres.pid" $!
    disown
}

# The server says so itself, in the lock file of its data directory.
postgres_ready() {
    local lock=()
    { mapfile -t lock <"$1/postgres/postmaster.pid"; } 2>/dev/null || return 1
    [[ ${lock[0]:-} == "$(running_pid "$1/postgres.pid")" && ${lock[7]:-} == ready* ]]
}

# ---- Redis ------------------------------------------------------------------------------------

# Starts Redis in HOME unless it runs, and exports REDIS_URL.
start_redis() { # HOME LOG DURABILITY
    local home=$1 log=$2
    REDIS_BIN=$(find_redis_server)
    REDIS_APPENDONLY=$([[ $3 == durable ]] && echo yes || echo no)
    if ! running_pid "$home/redis.pid" >/dev/null; then
        [[ -d $home/redis ]] || place_data "$home/redis"
        start_server "$home" redis "$log" spawn_redis redis_ready
    fi
    forget_other_urls REDIS_URL
    export REDIS_URL
    REDIS_URL="redis://default:$(<"$home/password")@127.0.0.1:$(<"$home/redis.port")/0"
}

spawn_redis() { # HOME PORT
    (
        password=$(<"$1/password")
        cd -P -- "$1/redis" || exit
        # Its settings come from stdin, so that the process list does not show the password.
        exec setsid "${AS_SERVER[@]}" "$REDIS_BIN" - <<EOF
bind 127.0.0.1
port $2
requirepass $password
maxmemory-policy noeviction
save ""
appendonly $REDIS_APPENDONLY
appendfsync everysec
EOF
    ) 8>&- 9>&- &
    record_process "$1/redis.pid" $!
    disown
}

# Asked over plain TCP: the server's package does not always bring a client.
redis_ready() { # HOME PORT
    (
        exec 3<>"/dev/tcp/127.0.0.1/$2"
        printf 'AUTH %s\r\nPING\r\n' "$(<"$1/password")" >&3
        read -r -t 2 authenticated <&3 && read -r -t 2 answer <&3
        [[ $authenticated == +OK* && $answer == +PONG* ]]
    ) 2>/dev/null
}

# ---- both -------------------------------------------------------------------------------------

# A server whose URL is given is not needed here.
install_missing() {
    local missing=()
    [[ -n ${DATABASE_URL:-} ]] || missing+=(postgresql)
    [[ -n ${REDIS_URL:-} ]] || missing+=(redis)
    if ((${#missing[@]})); then "${BASH_SOURCE[0]%/*}/install-servers" "${missing[@]}"; fi
}

# Ends the servers of HOME. Data that is to be thrown away needs no last checkpoint.
stop_servers() { # HOME DURABILITY
    local signal=INT
    [[ $2 == durable ]] || signal=QUIT
    stop_process "$1/redis.pid" TERM "$STOP_SECONDS_MAX"
    stop_process "$1/postgres.pid" "$signal" "$STOP_SECONDS_MAX"
}

# Removes the homes of runs that were killed without a chance to tidy up. A run holds a lock on
# its `owner` file as long as it lives; the kernel releases it whatever happens, so neither a
# reused pid nor another container's pid can mislead us. The caller holds the lock on .local.
sweep_abandoned_runs() { # LOCAL
    local home
    for home in "$1"/run.*/; do
        home=${home%/}
        [[ -O $home ]] || continue
        if [[ ! -e $home/owner ]] || flock --nonblock "$home/owner" true; then
            stop_servers "$home" throwaway
            discard_home "$home"
            say "removed what a killed run left behind: ${home##*/}"
        fi
    done
}

# The programs prefer LINEAGE_INGEST_DATABASE_URL and its like; with a private server those
# would lead them to somebody's real one.
forget_other_urls() { # DATABASE_URL | REDIS_URL
    local name
    for name in "${!LINEAGE_@}"; do
        if [[ $name == *_"$1" ]]; then unset "$name"; fi
    done
}
