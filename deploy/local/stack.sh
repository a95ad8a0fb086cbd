# What `up` and `down` have to agree on. Sourced by them, never run.
# shellcheck shell=bash disable=SC2034 # its readers use the variables
# shellcheck source=deploy/local/servers.sh
source "${BASH_SOURCE[0]%/*}/servers.sh"

readonly LOCK_SECONDS_MAX=120
readonly DRAIN_SECONDS_MAX=30 # how long a program may take to finish its work
ROOT=$(repository_root)
LOCAL=$ROOT/.local
DEV=$LOCAL/dev    # home of the servers, and pid files of the programs
LOGS=$LOCAL/log
ENV_FILE=$LOCAL/env

lock_local() {
    mkdir -p -- "$LOCAL"
    [[ -w $LOCAL ]] || die "$LOCAL belongs to $(stat -c %U -- "$LOCAL"): run as that user"
    exec 9>>"$LOCAL/lock"
    flock --timeout "$LOCK_SECONDS_MAX" 9 || die 'another up, down or test start does not end'
}

stop_program() { # NAME
    stop_process "$DEV/$1.pid" TERM "$DRAIN_SECONDS_MAX"
    rm -f -- "$DEV/$1.ready"
}
