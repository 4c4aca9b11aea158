# A cluster of its own in this directory, as an ordinary user: initdb, start, pgbench, stop.
as= # root may not run it
if [ "$(id -u)" = 0 ]; then
	as="setpriv --reuid=postgres --regid=postgres --clear-groups"
	chmod 711 .; mkdir p; chown postgres p; cd p
fi
export PATH="$(ls -d /usr/lib/postgresql/*/bin | tail -1):$PATH" PGHOST=$PWD PGDATABASE=postgres PGUSER=postgres
$as initdb -D d -U postgres -A trust --no-sync -E UTF8 --locale=C >made 2>&1; echo "initdb $?"
$as pg_ctl -w -s -t 200 -D d -l log -o "-k $PWD -c listen_addresses='' -c fsync=off" start; echo "start $?"
$as pgbench -i -q -s 1 >filled 2>&1; echo "fill $?"
$as pgbench -n -c 4 -j 2 -t 25 | grep -E 'processed|failed'
$as psql -Atc 'select count(*), sum(abalance) = (select sum(delta) from pgbench_history) from pgbench_accounts'
$as pg_ctl -w -s -t 200 -D d -m fast stop; echo "stop $?"
