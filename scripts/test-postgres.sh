#!/usr/bin/env bash
# test-postgres.sh
#
# The PostgreSQL server that the tests share. Makes sure that it runs, and prints
# `postgres://USER:PASSWORD@127.0.0.1:PORT/DATABASE` of a user that may create databases and roles.
#
#   test-postgres.sh                   from the programs of ensure-postgres.sh
#   test-postgres.sh with COMMAND...   runs a command, for which the server stays, with the URL in
#                                      LOOMGATE_TEST_POSTGRES
#   test-postgres.sh database          makes a database of a test's own (a schema), prints its URL
#   test-postgres.sh restart           ends the server's sessions and starts it again
#
# With TEST_POSTGRES_WITH=pgvector it is another server, from the programs of ensure-pgvector.sh, without
# TLS, whose user may create extensions.
#
# With LOOMGATE_TEST_POSTGRES=URL that server is used, and none is started. A test that restarts the
# server has one of its own, in the folder that TEST_POSTGRES_HOME names.
#
# Whoever uses the server holds a shared lock on target/test-postgres/in-use (flock; a process that
# dies lets go of it). Once nobody has held it for some seconds, a watcher stops the server by its
# process id and removes its folder: after a run, and after one that was interrupted.
#
# fsync is off: no test of ours pulls the plug of the machine, and a server that is killed loses
# nothing by it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'test-postgres: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

case ${TEST_POSTGRES_WITH:-} in
    '') programs=scripts/ensure-postgres.sh folder_name=test-postgres role=CREATEDB ;;
    # Its users make extensions, which takes a superuser.
    pgvector) programs=scripts/ensure-pgvector.sh folder_name=test-pgvector role=SUPERUSER ;;
    *) fail "TEST_POSTGRES_WITH is $TEST_POSTGRES_WITH" ;;
esac

# How long nobody may use the server before it goes, in seconds.
idle=10

# A URL of a schema that nobody else uses, on the server at the URL $1.
database() {
    local name bin
    name=t_$(head -c 8 /dev/urandom | od -An -tx1 | tr -d ' \n')
    bin=$($programs)
    "$bin/psql" -q -X -v ON_ERROR_STOP=1 "$1" -c "CREATE SCHEMA $name" >&2
    printf '%s?sslmode=disable&options=-csearch_path%%3D%s\n' "$1" "$name"
}

if [[ -n ${LOOMGATE_TEST_POSTGRES:-} ]]; then
    case ${1:-} in
        '') printf '%s\n' "$LOOMGATE_TEST_POSTGRES" ;;
        database) database "$LOOMGATE_TEST_POSTGRES" ;;
        with) exec "${@:2}" ;;
        *) fail "$1: not with LOOMGATE_TEST_POSTGRES" ;;
    esac
    exit 0
fi
command -v flock >/dev/null || fail "flock is missing: install util-linux, then try again"
home=${TEST_POSTGRES_HOME:-$(realpath -m "${CARGO_TARGET_DIR:-target}")/$folder_name}
mkdir -p "$home"

# Runs a program as a user that PostgreSQL accepts: it refuses to be root.
as_user() {
    if [[ $(id -u) != 0 ]]; then
        "$@"
    elif getent passwd postgres >/dev/null; then
        setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
    else
        setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups "$@"
    fi
}

runs() { [[ -s $home/pid && -s $home/url ]] && kill -0 "$(cat "$home/pid")" 2>/dev/null; }

# watch FOLDER BIN: the watcher. The exclusive lock is to be had only while nobody has a shared one.
watch() {
    local folder=$1 bin=$2 unused=0
    exec 8>>"$home/in-use"
    exec 9>>"$home/lock"
    while sleep 1; do
        # Between two lives of a server that is restarted it has no process.
        if ! kill -0 "$(cat "$home/pid")" 2>/dev/null && flock -n -x 9 && ! runs; then break; fi
        flock -u 9
        if ! flock -n -x 8; then unused=0; continue; fi
        unused=$((unused + 1))
        if ((unused >= idle)); then break; fi
        flock -u 8
    done
    # Whoever starts another one, because this one died, has the lock.
    flock -x 9
    if [[ $(cat "$home/folder") == "$folder" ]]; then rm -f "$home/url" "$home/pid"; fi
    (cd / && as_user "$bin/pg_ctl" -D "$folder/data" -m immediate stop) >/dev/null 2>&1 || true
    rm -rf "$folder"
}

if [[ ${1:-} == --watch ]]; then
    watch "$2" "$3"
    exit 0
fi

start() {
    local bin folder port password
    bin=$($programs)
    # Short, because the path of a socket is limited; open to the server's user.
    folder=$(mktemp -d /tmp/loomgate-postgres-XXXXXX)
    chmod 0755 "$folder"
    mkdir "$folder/data"
    [[ $(id -u) != 0 ]] || chown "$(as_user id -u)" "$folder/data"
    password=$(head -c 18 /dev/urandom | base64 | tr '+/' 'ab')
    if ! as_user test -x "$bin/postgres"; then
        # In a folder that is not open to that user.
        cp -R "$bin/.." "$folder/programs"
        bin=$folder/programs/bin
    fi
    # The programs want a working directory that their user may read.
    (cd / && as_user "$bin/initdb" -D "$folder/data" -U postgres -A peer -E UTF8 --locale=C.UTF-8 --no-sync) \
        >"$folder/initdb.log" 2>&1 || { cat "$folder/initdb.log" >&2; fail "initdb failed"; }
    # Everybody who reaches the port has to know the password: md5 for tests, since it costs nothing
    # to connect with; scram and TLS for those that are about them.
    as_user tee "$folder/data/pg_hba.conf" >/dev/null <<HBA
local   all all              peer
host    all scram_user 127.0.0.1/32 scram-sha-256
host    all all        127.0.0.1/32 md5
HBA
    local tls=off
    if [[ $role != SUPERUSER ]]; then
        tls=on
        certificates "$folder"
    fi
    as_user tee -a "$folder/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$folder/data'
max_connections = 400
shared_buffers = 64MB
fsync = off
full_page_writes = off
autovacuum_naptime = 10
password_encryption = md5
ssl = $tls
ssl_cert_file = '$folder/data/server.crt'
ssl_key_file = '$folder/data/server.key'
log_min_messages = fatal
CONF
    local attempt
    # The server must not inherit our locks: it would hold them as long as it runs.
    for attempt in 1 2 3 4 5 6 7 8; do
        port=$((20000 + RANDOM % 40000))
        if (cd / && as_user "$bin/pg_ctl" -D "$folder/data" -o "-p $port" -w -t 60 -l "$folder/data/log" start) >/dev/null 2>&1 8>&- 9>&-; then
            break
        fi
        ((attempt < 8)) || { tail -n 20 "$folder/data/log" >&2; rm -rf "$folder"; fail "the server did not start"; }
    done
    (cd / && as_user "$bin/psql" -q -X -v ON_ERROR_STOP=1 -h "$folder/data" -p "$port" -U postgres -d postgres) >/dev/null <<SQL
CREATE ROLE loomgate_test LOGIN $role CREATEROLE PASSWORD '$password';
CREATE DATABASE loomgate_test OWNER loomgate_test;
SET password_encryption = 'scram-sha-256';
CREATE ROLE scram_user LOGIN PASSWORD 'a p@ss:word/%';
GRANT scram_user TO loomgate_test;
SQL
    head -n 1 "$folder/data/postmaster.pid" >"$home/pid"
    printf '%s\n' "$folder" >"$home/folder"
    (umask 077 && printf 'postgres://loomgate_test:%s@127.0.0.1:%s/loomgate_test\n' "$password" "$port" >"$home/url.new")
    mv "$home/url.new" "$home/url"
    # Without our locks, our output and our terminal, so that it outlives whoever came first.
    setsid "$PWD/scripts/test-postgres.sh" --watch "$folder" "$bin" </dev/null >"$home/watch.log" 2>&1 7>&- 8>&- 9>&- &
}

# As an operator would for a new version: sessions end in the middle of what they do.
restart() {
    local folder bin
    folder=$(cat "$home/folder")
    bin=$($programs)
    (cd / && as_user "$bin/pg_ctl" -D "$folder/data" -m fast -w -t 60 -l "$folder/data/log" restart) >/dev/null 2>&1 8>&- 9>&-
    head -n 1 "$folder/data/postmaster.pid" >"$home/pid"
}

# An authority, and a certificate of it for localhost, for the tests of TLS.
certificates() {
    local folder=$1
    command -v openssl >/dev/null || fail "openssl is missing: install it, then try again"
    (
        cd "$folder"
        openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj '/CN=loomgate test authority' \
            -keyout ca.key -out ca.crt
        openssl req -newkey rsa:2048 -nodes -subj '/CN=localhost' -keyout server.key -out server.csr
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 \
            -extfile <(printf 'subjectAltName=DNS:localhost\n') -out server.crt
    ) >"$folder/openssl.log" 2>&1 || { cat "$folder/openssl.log" >&2; fail "openssl failed"; }
    chmod 0644 "$folder/ca.crt"
    cat "$folder/server.crt" | as_user tee "$folder/data/server.crt" >/dev/null
    cat "$folder/server.key" | (umask 077 && as_user tee "$folder/data/server.key" >/dev/null)
    rm -f "$folder"/*.key "$folder"/server.crt "$folder"/server.csr
}

# Held until this script ends; whoever called holds one of its own.
exec 8>>"$home/in-use"
flock -s 8
exec 9>>"$home/lock"
flock -x 9
if [[ ${1:-} == restart ]]; then
    restart
elif ! runs; then
    start
fi
flock -u 9
exec 9>&-
case ${1:-} in
    '' | restart) cat "$home/url" ;;
    database) database "$(cat "$home/url")" ;;
    with) LOOMGATE_TEST_POSTGRES=$(cat "$home/url") exec "${@:2}" ;;
    *) fail "unknown: $1" ;;
esac
