"""Runs workloads under rivals: in interleaved rounds, each command with a time limit, nothing left behind."""
import collections
import ctypes
import os
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from rivals import RIVALS
from workloads import ROOT, Place

PROGRAMS = ("getppid", "mix", "threads", "pingpong", "ptrace_floor")
PR_SET_CHILD_SUBREAPER = 36
STARTING = 60      # seconds a server has to answer
ENOUGH = 25        # seconds after which a rival gets no further rounds of a workload
SCRATCH_BYTES = 2 << 30

# What one command did: its status (None: the time was over), wall time, the most memory the tracer had, the processor time of all.
Done = collections.namedtuple("Done", "status seconds output memory_kib cpu_seconds")


class Failed(Exception):
    """A run that gives no figure, and why."""


def scratch_directory():
    """In memory where there is room, so that no disk is measured."""
    try:
        facts = os.statvfs("/dev/shm")
        room = facts.f_bavail * facts.f_frsize >= SCRATCH_BYTES
    except OSError:
        room = False
    return tempfile.mkdtemp(prefix="vtrace-bench.", dir="/dev/shm" if room else None)


def compile_programs(directory):
    for name in PROGRAMS:
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-pthread", "-D_GNU_SOURCE", os.path.join(ROOT, "bench", name + ".c"),
                        "-o", os.path.join(directory, name)], check=True)


# ---- processes ----

def adopt_orphans():
    """What a killed tracer leaves becomes our child, and is found by children()."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children():
    with open("/proc/self/task/%d/children" % os.getpid(), encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]


def kill_children():
    """All descendants: those of a killed child become children in turn."""
    while children():
        for pid in children():
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass


class Command:
    """A started command; finish() gives Done."""

    def __init__(self, argv, log, env):
        self.log = open(log, "w+b")
        self.start = time.monotonic()
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT, env=env,
                                        start_new_session=True)
        self.pidfd = os.pidfd_open(self.process.pid)

    def ended(self, seconds):
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def finish(self, limit):
        ended = self.ended(limit)
        seconds = time.monotonic() - self.start
        if not ended:
            self.process.kill()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        os.close(self.pidfd)
        self.log.seek(0)
        output = self.log.read().decode(errors="replace")
        self.log.close()
        return Done(self.process.returncode if ended else None, seconds, output, usage.ru_maxrss, usage.ru_utime + usage.ru_stime)


# ---- one run ----

class Bench:
    """The tools, the scratch directory and what is in it."""

    def __init__(self, tools_vtrace, limit):
        self.limit = limit
        self.scratch = scratch_directory()
        self.programs = os.path.join(self.scratch, "programs")
        os.chmod(self.scratch, 0o755)  # the server of pgbench runs as another user
        os.mkdir(self.programs)
        compile_programs(self.programs)
        self.vtrace = tools_vtrace
        self.floor, self.bpf = (os.path.join(self.programs, name) for name in ("ptrace_floor", "bpf_floor"))
        self.env = dict(os.environ, LC_ALL="C.UTF-8", XDG_CACHE_HOME=os.path.join(self.scratch, "cache"), PYTHONDONTWRITEBYTECODE="1",
                        GIT_OPTIONAL_LOCKS="0")
        adopt_orphans()

    def close(self):
        kill_children()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def refusal(self, rival):
        """Why this rival cannot be run here, or None."""
        missing = missing_program(rival.needs)
        return "%s is not installed" % missing if missing else rival.build(self.programs)

    def place(self, name):
        directory = os.path.join(self.scratch, name)
        os.mkdir(directory)
        return Place(directory, self.programs)

    def run(self, place, workload, rival, count):
        """One run: {"seconds", "cost", "events", "lost", ...}; raises Failed."""
        out = os.path.join(self.scratch, "trace" + rival.suffix)
        argv = [*rival.prefix(self, out, workload.rare), *workload.command(place, count)]
        try:
            if workload.server:
                done, cost = self.serve(place, workload.server, argv, count)
                best = cost
            else:
                done, cost, best = self.command(argv, workload, count)
            facts = {} if done.status is None else rival.count(self, out)
            return {"seconds": done.seconds, "cost": cost, "best": best, "cpu_seconds": done.cpu_seconds,
                    "memory_kib": done.memory_kib, **facts}
        finally:
            kill_children()
            for name in os.listdir(self.scratch):
                if name.startswith("trace"):
                    os.unlink(os.path.join(self.scratch, name))

    def command(self, argv, workload, count):
        """(Done, cost of a unit, the best cost seen within the run)"""
        done = Command(argv, os.path.join(self.scratch, "log"), self.env).finish(self.limit)
        if done.status is None:
            raise Failed("not done after %d s" % self.limit)
        if done.status != 0:
            raise Failed("status %d: %s" % (done.status, done.output[-200:].strip()))
        if not workload.printed:
            return done, done.seconds / count, done.seconds / count
        return done, *(float(word) / 1e9 for word in done.output.split()[:2])

    def serve(self, place, server, argv, count):
        traced = Command(argv, os.path.join(self.scratch, "log"), self.env)
        started = time.monotonic()
        while not server.ready(place):
            if time.monotonic() - started > STARTING or traced.ended(0.02):
                raise Failed("the server does not answer: " + traced.finish(0).output[-200:].strip())
        client = Command(server.load(place, count), os.path.join(self.scratch, "client"), self.env).finish(self.limit)
        server.stop(place)
        done = traced.finish(self.limit)
        if client.status != 0:
            raise Failed("the client: status %s: %s" % (client.status, client.output[-200:].strip()))
        if done.status is None:
            raise Failed("the server did not end within %d s" % self.limit)
        return done, server.cost(client.output)


# ---- rounds ----

def missing_program(names):
    return next((name for name in names.split() if not shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")), None)


def chosen(workload, names):
    """The rivals of a workload, in the table's order."""
    if workload.only:
        return [name for name in RIVALS if name in workload.only and name in names]
    return [name for name in RIVALS if name in names and not RIVALS[name].extra]


class Cell:
    """The runs of one workload under one rival."""

    def __init__(self, workload, rival, column):
        counts = workload.counts
        self.rival = rival
        self.count = getattr(counts, column) if column != "default" else counts.slow if rival.slow else counts.default
        self.rounds = workload.slow_rounds if rival.slow or rival.whole else workload.rounds
        if column == "quick" or rival.whole and counts.slow < counts.default:
            self.rounds = 1
        self.runs, self.note = [], None

    def wanted(self):
        spent = sum(run["seconds"] for run in self.runs)
        return self.note is None and len(self.runs) < self.rounds and spent < ENOUGH

    def facts(self):
        return {"count": self.count, "runs": self.runs, "note": self.note}


def measure(bench, name, workload, names, column, say):
    """{rival: {"count", "runs", "note"}} of one workload."""
    missing = missing_program(workload.needs)
    if missing:
        say("%s: skipped, %s is not installed" % (name, missing))
        return None
    place = bench.place(name)
    if workload.prepare:
        workload.prepare(place)
    cells = {rival: Cell(workload, RIVALS[rival], column) for rival in chosen(workload, names)}
    for rival in ("native", "text"):  # caches, plans of the libraries
        if rival in cells:
            attempt(bench, place, workload, cells[rival], workload.counts.quick)
    while any(cell.wanted() for cell in cells.values()):
        for rival, cell in cells.items():
            if cell.wanted():
                run = attempt(bench, place, workload, cell, cell.count)
                cell.runs += [run] if run else []
                say("%s, %s: %s" % (name, rival, "%.2f s" % run["seconds"] if run else cell.note))
    shutil.rmtree(place.directory, ignore_errors=True)
    return {rival: cell.facts() for rival, cell in cells.items()}


def attempt(bench, place, workload, cell, count):
    try:
        return bench.run(place, workload, cell.rival, count)
    except (Failed, OSError, subprocess.SubprocessError, ValueError, TypeError, KeyError) as error:
        cell.note = "%s: %s" % (type(error).__name__, error)
        sys.stderr.write("bench: %s\n" % cell.note)
        return None


# ---- the formatter alone ----

def formatter(bench, calls):
    """{format: events a second of processor time}: a recording of dd, replayed to nowhere, the median of three."""
    trace, log = os.path.join(bench.scratch, "dd.vtr"), os.path.join(bench.scratch, "log")
    dd = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=%d" % (calls // 2), "status=none"]
    subprocess.run([bench.vtrace, "record", "-f", "-o", trace, *dd], env=bench.env, timeout=bench.limit, check=True)
    speeds = {}
    for form in ("text", "json"):
        runs = [Command([bench.vtrace, "replay", "--format", form, "-o", "/dev/null", trace], log, bench.env).finish(bench.limit)
                for _ in range(3)]
        speeds[form] = calls / statistics.median(run.cpu_seconds for run in runs)
    return speeds
