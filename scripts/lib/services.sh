# shellcheck shell=bash disable=SC2034 # the sourcing scripts read these variables
# The services that tests talk to: a throw-away PostgreSQL, and programs that tests start themselves.
#
# start_services exports
#   SOTTOVOCE_TEST_POSTGRES         URL of a superuser's database; each test makes one of its own beside it
#   SOTTOVOCE_TEST_POSTGRES_FOLDER  where that server keeps its data, its write-ahead log and its log
#   SOTTOVOCE_TEST_NATS_SERVER      the program nats-server
#   SOTTOVOCE_TEST_S3FS             the program s3s-fs, which speaks S3 over a folder
# and stop_services, for the EXIT trap of whoever called it, leaves nothing behind.

S3S_FS_VERSION=0.14.1
# Every test has a database and a server with connections of its own, and many tests run at one time.
POSTGRES_CONNECTIONS=400
POSTGRES_PATIENCE_S=60

start_services() {
    [[ -z ${postgres_folder:-} ]] || return 0
    install_postgres
    install_nats_server
    install_tool s3s-fs "$S3S_FS_VERSION" s3s-fs binary
    export SOTTOVOCE_TEST_S3FS=$CACHE/tools/s3s-fs-$S3S_FS_VERSION/bin/s3s-fs
    start_postgres
    say "$("$POSTGRES_BIN/postgres" --version), throw-away, in $postgres_folder"
    say "$("$SOTTOVOCE_TEST_NATS_SERVER" --version), s3s-fs $S3S_FS_VERSION: for tests to start"
}

stop_services() {
    [[ -n ${postgres_folder:-} ]] || return 0
    if [[ -n ${postgres_pid:-} ]]; then
        # Nothing of it is wanted any more, so it need not take the time to close its files in order.
        kill -QUIT "$postgres_pid" 2>/dev/null || true
        wait "$postgres_pid" 2>/dev/null || true
    fi
    rm -rf "$postgres_folder"
    postgres_folder=''
    postgres_pid=''
}

# Debian keeps the programs of each major version in a folder of its own; elsewhere they are on PATH.
find_postgres() {
    POSTGRES_BIN=$(printf '%s\n' /usr/lib/postgresql/*/bin/postgres | sort -V | tail -n 1)
    [[ -x $POSTGRES_BIN ]] || POSTGRES_BIN=$(command -v postgres) || return 1
    POSTGRES_BIN=${POSTGRES_BIN%/postgres}
}

install_postgres() {
    if find_postgres; then return; fi
    have apt-get || die "missing: PostgreSQL 15 or newer; install it and run again"
    ((EUID == 0)) || sudo -n true || die "missing: postgresql; installing needs root or a sudo without password"
    say "installing with apt-get: postgresql, without a cluster and without starting anything"
    as_root apt-get update -qq
    apt_install postgresql-common
    # Debian's package makes a cluster named `main` and starts it, unless told not to: what is wanted is the program.
    local told=/etc/postgresql-common/createcluster.d/sottovoce.conf status=0
    as_root mkdir -p "${told%/*}"
    echo 'create_main_cluster = false' | as_root tee "$told" >/dev/null
    apt_install postgresql || status=$?
    as_root rm -f "$told"
    if ((status != 0)) || ! find_postgres; then die 'PostgreSQL could not be installed'; fi
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# One static program, taken out of Debian's package: installing that would run a service on the machine.
install_nats_server() {
    local root=$CACHE/debian-nats
    SOTTOVOCE_TEST_NATS_SERVER=$(command -v nats-server || echo "$root/usr/sbin/nats-server")
    export SOTTOVOCE_TEST_NATS_SERVER
    [[ ! -x $SOTTOVOCE_TEST_NATS_SERVER ]] || return 0
    have apt-get || die "missing: nats-server; put it on PATH and run again"
    say "unpacking Debian's nats-server into the cache"
    rm -rf "$root.new" "$root"
    mkdir -p "$root.new/deb"
    (cd "$root.new/deb" && { apt-get download -qq nats-server || { as_root apt-get update -qq && apt-get download -qq nats-server; }; } 2>/dev/null)
    dpkg -x "$root.new"/deb/*.deb "$root.new"
    rm -r "$root.new/deb"
    mv "$root.new" "$root"
    "$SOTTOVOCE_TEST_NATS_SERVER" --version >/dev/null || die "Debian's nats-server does not start"
}

start_postgres() {
    local password attempt
    postgres_folder=$(mktemp -d -t sottovoce-postgres.XXXXXX)
    # PostgreSQL refuses to run as root.
    postgres_user=()
    if ((EUID == 0)); then
        local user=nobody
        if id postgres >/dev/null 2>&1; then user=postgres; fi
        postgres_user=(--reuid "$user" --regid "$(id -g "$user")" --clear-groups)
        chown "$user" "$postgres_folder"
    fi
    # Its port is open to everybody on this machine, so it wants a password that is nowhere else.
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    echo "$password" | postgres_do tee "$postgres_folder/password" >/dev/null
    postgres_do "$POSTGRES_BIN/initdb" --pgdata "$postgres_folder/data" --username postgres --encoding UTF8 \
        --locale C --auth scram-sha-256 --pwfile "$postgres_folder/password" --no-sync >/dev/null
    rm "$postgres_folder/password"
    for attempt in 1 2 3 4 5; do
        # Below the ports that the system hands to whoever asks for any.
        if try_postgres $((RANDOM % 16000 + 15000)); then
            export SOTTOVOCE_TEST_POSTGRES="postgres://postgres:$password@127.0.0.1:$postgres_port/postgres"
            export SOTTOVOCE_TEST_POSTGRES_FOLDER=$postgres_folder
            return
        fi
    done
    cat "$postgres_folder/log" >&2
    die 'PostgreSQL does not start'
}

postgres_do() { (cd "$postgres_folder" && setpriv "${postgres_user[@]}" -- "$@"); }

# Dies with whoever started it, even by `kill -9`; durable as in production, since that is what is tested.
try_postgres() {
    local second
    postgres_port=$1
    (cd "$postgres_folder" && exec setpriv "${postgres_user[@]}" --pdeathsig QUIT -- "$POSTGRES_BIN/postgres" \
        -D data -c unix_socket_directories= -c listen_addresses=127.0.0.1 -c port="$postgres_port" \
        -c max_connections="$POSTGRES_CONNECTIONS" -c log_destination=stderr) >"$postgres_folder/log" 2>&1 &
    postgres_pid=$!
    for ((second = 0; second < POSTGRES_PATIENCE_S * 10; second++)); do
        if "$POSTGRES_BIN/pg_isready" -q -h 127.0.0.1 -p "$postgres_port"; then break; fi
        kill -0 "$postgres_pid" 2>/dev/null || return 1
        sleep 0.1
    done
    # Whoever answers must be ours.
    kill -0 "$postgres_pid" 2>/dev/null
}
