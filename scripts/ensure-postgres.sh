#!/usr/bin/env bash
# ensure-postgres.sh
#
# Prints the directory of PostgreSQL's programs (15 or newer): the newest found on this machine,
# otherwise those of the Debian package, installed without a cluster and without starting anything.
set -euo pipefail

oldest=15

say() { printf 'ensure-postgres: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# Prints `VERSION DIRECTORY` for every server that is installed here.
installed() {
    local bin version
    {
        printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin
        command -v pg_config >/dev/null && pg_config --bindir || true
    } | sort -u | while read -r bin; do
        [[ -x $bin/postgres && -x $bin/initdb && -x $bin/pg_ctl ]] || continue
        version=$("$bin/postgres" --version | grep -oE '[0-9]+' | head -n 1)
        printf '%s %s\n' "$version" "$bin"
    done
}

newest() { installed | sort -n | tail -n 1 | awk -v oldest=$oldest '$1 >= oldest { print $2 }'; }

bin=$(newest)
if [[ -z $bin ]]; then
    command -v apt-get >/dev/null || fail "no PostgreSQL >= $oldest here: install it (server and client programs), then try again"
    [[ $(id -u) == 0 ]] || fail "no PostgreSQL >= $oldest here: run \`sudo apt-get install postgresql\`, then try again"
    say "no PostgreSQL >= $oldest on this machine: installing the Debian package (60 MB)"
    export DEBIAN_FRONTEND=noninteractive
    # Debian's package makes and starts a database of its own unless it is told not to.
    mkdir -p /etc/postgresql-common
    [[ -e /etc/postgresql-common/createcluster.conf ]] ||
        printf 'create_main_cluster = false\n' >/etc/postgresql-common/createcluster.conf
    {
        apt-get -qq update
        apt-get -qq -y install --no-install-recommends postgresql
    } >&2 || fail "apt-get could not install PostgreSQL: see above"
    bin=$(newest)
    [[ -n $bin ]] || fail "the installed PostgreSQL is older than $oldest: install a newer one, then try again"
fi
printf '%s\n' "$bin"
