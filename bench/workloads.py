"""What is traced. A row of WORKLOADS is a fact; how rows are run is in runner.py.

A workload is a command of `count` units. Its cost is the wall time per unit, so that a rival that needs 60 µs a call can be given
fewer units than the others (`Counts.slow`). Where `server` is set, the command is a server, the tracer's; its cost is one over the
throughput its client (untraced, on the same cores) reports, and `count` is given to the client."""
import collections
import glob
import os
import re
import shlex
import socket
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# default: for all rivals but the slow ones; slow: for those; long: all, with --long; quick: all, with --quick
Counts = collections.namedtuple("Counts", "default slow long quick")
# needs: programs to be found in PATH. certain: system calls per unit that are made for sure. rare: what -e trace= names.
# printed: the command prints its cost itself (nanoseconds), instead of the wall time. only: the rivals that are run (None: all).
Workload = collections.namedtuple(
    "Workload", "title counts rounds slow_rounds command needs prepare rare certain server printed only",
    defaults=("", None, "prlimit64", 0, None, False, None))
# ready: whether it answers. load: the client's command. cost: seconds per request from the client's output. stop: ends the server.
Server = collections.namedtuple("Server", "ready load cost stop")

SMALL_C = '#include <stdio.h>\nint main(int argc, char **argv)\n{\n\tprintf("%s %d\\n", argv[0], argc);\n\treturn 0;\n}\n'
SETPRIV = "setpriv --reuid postgres --regid postgres --clear-groups"


class Place:
    """The scratch directory of one workload, with the programs beside it."""

    def __init__(self, directory, programs):
        self.directory, self.programs = directory, programs
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def path(self, name):
        return os.path.join(self.directory, name)

    def program(self, name):
        return os.path.join(self.programs, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)

    def read(self, name):
        try:
            with open(self.path(name), encoding="ascii") as file:
                return file.read()
        except OSError:
            return ""

    def shell(self, script):
        return quiet("sh", "-ec", script, cwd=self.directory)


def quiet(*command, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          timeout=120, check=False, **options).returncode == 0


# ---- files and programs ----

def small_file(place):
    place.write("small", "x" * 100)
    place.write("small.c", SMALL_C)


def repository(place):
    for i in range(5000):
        place.write("repository/d%02d/f%d" % (i % 50, i), "%d\n" % i)
    place.shell("cd repository; git init -q; git config user.name bench; git config user.email bench@localhost;"
                "git config gc.auto 0; git add .; git commit -qm first")


def storm(count):
    return "i=0; while [ $i -lt %d ]; do /bin/true; i=$((i+1)); done" % count


def build(count):
    """The first `count` files of formatters/, one compiler after another, then the archiver."""
    sources = sorted(glob.glob(os.path.join(ROOT, "formatters/*.c")))[:count]
    includes = " ".join("-I" + shlex.quote(os.path.join(ROOT, name)) for name in ("tracer/wire", "formatters", "build/gen"))
    compile_one = 'gcc -D_GNU_SOURCE %s -O0 -c "$f" || exit 1' % includes
    return "rm -f *.o *.a; for f in %s; do %s; done; ar rcs all.a *.o" % (shlex.join(sources), compile_one)


def inserts(count):
    return ("rm -f base; i=0; { echo 'create table t(a);'; while [ $i -lt %d ]; do echo \"insert into t values($i);\"; i=$((i+1)); done; }"
            " | sqlite3 base" % count)


# ---- redis ----

def redis_said(place, command, answer):
    try:
        with socket.create_connection(("127.0.0.1", place.port), 1) as connection:
            connection.settimeout(1)
            connection.sendall(command)
            return connection.recv(100).startswith(answer)
    except OSError:
        return False


def redis_cost(output):
    per_second = [float(rate) for rate in re.findall(r'^"(?:SET|GET)","([0-9.]+)"', output, re.M)]
    return sum(1 / rate for rate in per_second) / len(per_second)


REDIS = Server(
    ready=lambda place: redis_said(place, b"PING\r\n", b"+PONG"),
    load=lambda place, count: ["redis-benchmark", "-p", str(place.port), "--csv", "-t", "set,get", "-n", str(count)],
    cost=redis_cost,
    stop=lambda place: redis_said(place, b"SHUTDOWN NOSAVE\r\n", b""))


# ---- nginx ----

NGINX_CONF = """daemon off; worker_processes 1; pid %(at)s/pid; error_log %(at)s/errors; %(user)s events {}
http { access_log off; keepalive_requests 1000000000; client_body_temp_path %(at)s/t1; proxy_temp_path %(at)s/t2;
fastcgi_temp_path %(at)s/t3; uwsgi_temp_path %(at)s/t4; scgi_temp_path %(at)s/t5;
server { listen 127.0.0.1:%(port)d; root %(at)s/html; } }
"""


def nginx_prepare(place):
    user = "user root;" if os.getuid() == 0 else ""
    place.write("html/index.html", "x" * 1024)
    place.write("conf", NGINX_CONF % {"at": place.directory, "port": place.port, "user": user})


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.settimeout(1)
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return connection.recv(100).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


NGINX = Server(
    ready=lambda place: answers(place.port),
    load=lambda place, count: ["wrk", "-t1", "-c16", "-d%ds" % count, "http://127.0.0.1:%d/" % place.port],
    cost=lambda output: 1 / float(re.search(r"^Requests/sec: +([0-9.]+)", output, re.M)[1]),
    stop=lambda place: place.shell("kill -QUIT $(cat pid)"))


# ---- postgres: it refuses to be root ----

def postgres_program(name):
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/" + name))
    return found[-1] if found else name


def as_postgres():
    return SETPRIV.split() if os.getuid() == 0 else []


def postgres_server(place):
    return [*as_postgres(), postgres_program("postgres"), "-D", place.path("data"), "-k", place.path("data"),
            "-c", "listen_addresses="]


def postgres_ready(place):
    return quiet(postgres_program("pg_isready"), "-q", "-h", place.path("data"))


def postgres_prepare(place):
    if as_postgres():
        place.shell("chown postgres .")
    quiet(*as_postgres(), postgres_program("initdb"), "-D", place.path("data"), "-A", "trust", "-U", "postgres", "-N",
          cwd=place.directory)
    quiet(*as_postgres(), postgres_program("pg_ctl"), "-D", place.path("data"), "-w", "-l", place.path("log"),
          "-o", "-k %s -c listen_addresses=" % place.path("data"), "start", cwd=place.directory)
    quiet(postgres_program("pgbench"), "-i", "-q", "-h", place.path("data"), "-U", "postgres", "postgres")
    quiet(*as_postgres(), postgres_program("pg_ctl"), "-D", place.path("data"), "-w", "stop", cwd=place.directory)


PGBENCH = Server(
    ready=postgres_ready,
    load=lambda place, count: [postgres_program("pgbench"), "-n", "-c2", "-T%d" % count, "-h", place.path("data"),
                               "-U", "postgres", "postgres"],
    cost=lambda output: 1 / float(re.search(r"^tps = ([0-9.]+)", output, re.M)[1]),
    stop=lambda place: place.shell("kill -INT $(head -1 data/postmaster.pid)"))


# ---- the table ----

WORKLOADS = {
    "getppid": Workload(
        "`getppid` loop", Counts(300000, 30000, 1000000, 20000), 5, 3,
        lambda place, count: [place.program("getppid"), "1", str(count)], certain=1),
    "inside": Workload(
        "`getppid`, in-process cost, bursts of 100", Counts(100, 100, 400, 20), 5, 3,
        lambda place, count: [place.program("getppid"), str(count), "100"], certain=150, printed=True,
        only=("native", "text", "text_no_net", "record", "record_no_net", "filtered", "floor", "bpf")),
    "dd": Workload(
        "`dd bs=1`", Counts(300000, 30000, 500000, 10000), 5, 3,
        lambda place, count: ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=%d" % count, "status=none"],
        rare="openat", certain=2),
    "mix": Workload(
        "openat, fstat, read, write, close", Counts(40000, 5000, 100000, 2000), 5, 3,
        lambda place, count: [place.program("mix"), str(count), place.path("small")], prepare=small_file, certain=5),
    "threads": Workload(
        "4 threads, pread and getppid", Counts(30000, 3000, 100000, 2000), 5, 3,
        lambda place, count: [place.program("threads"), "4", str(count)], certain=8),
    "pingpong": Workload(
        "futex ping-pong", Counts(20000, 3000, 100000, 1000), 5, 3,
        lambda place, count: [place.program("pingpong"), str(count)], certain=2),
    "storm": Workload(
        "sh: N × `/bin/true`", Counts(300, 100, 1000, 20), 5, 3,
        lambda place, count: ["sh", "-c", storm(count)], certain=15),
    "find": Workload(
        "`find /usr/share`", Counts(1, 1, 1, 1), 5, 2,
        lambda place, count: ["find", "/usr/share"]),
    "tar": Workload(
        "`tar` of /usr/share/doc", Counts(1, 1, 1, 1), 5, 2,
        lambda place, count: ["tar", "-cf", "/dev/null", "/usr/share/doc"]),
    "git": Workload(
        "`git status`, 5,000 files", Counts(1, 1, 1, 1), 9, 3,
        lambda place, count: ["git", "-C", place.path("repository"), "status"], "git", repository),
    "python": Workload(
        "`python3 -c pass`", Counts(1, 1, 1, 1), 15, 5,
        lambda place, count: ["/usr/bin/python3", "-c", "pass"]),
    "gcc": Workload(
        "`gcc -c` of a small file", Counts(1, 1, 1, 1), 15, 5,
        lambda place, count: ["gcc", "-c", place.path("small.c"), "-o", place.path("small.o")], "gcc", small_file),
    "build": Workload(
        "build of N files of C, `ar`", Counts(6, 2, 100, 1), 3, 2,
        lambda place, count: ["sh", "-c", "cd %s; %s" % (place.directory, build(count))], "gcc ar"),
    "sqlite": Workload(
        "sqlite, N inserts, each a transaction", Counts(3000, 300, 10000, 100), 5, 3,
        lambda place, count: ["sh", "-c", "cd %s; %s" % (place.directory, inserts(count))], "sqlite3", certain=10),
    "redis": Workload(
        "Redis, SET and GET", Counts(30000, 5000, 100000, 2000), 3, 2,
        lambda place, count: ["redis-server", "--port", str(place.port), "--bind", "127.0.0.1", "--save", "", "--dir",
                              place.directory], "redis-server redis-benchmark", server=REDIS),
    "nginx": Workload(
        "nginx, a file of 1 KiB, wrk", Counts(2, 2, 10, 1), 3, 2,
        lambda place, count: ["nginx", "-p", place.directory, "-c", place.path("conf")], "nginx wrk", nginx_prepare,
        server=NGINX),
    "pgbench": Workload(
        "PostgreSQL, pgbench", Counts(2, 2, 10, 1), 3, 2,
        lambda place, count: postgres_server(place), "setpriv pgbench", postgres_prepare, server=PGBENCH),
}
