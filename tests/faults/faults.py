#!/usr/bin/python3
"""Kills, stops and starves the program and vtrace at many points, and looks at what is left.

    faults.py FAULT [--points N] [--seed S]

A point is chosen by progress (how many calls the program made), not by time. The program is counter.c, which tells how far
it is through shared memory. VTRACE_TEST_ALL=1 in the environment: 200 points instead of 20."""
import argparse
import collections
import ctypes
import json
import mmap
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

SKIP = 77
THREADS = 8
WORDS = 3 + 2 * THREADS
PATIENCE_S = 40
PR_SET_CHILD_SUBREAPER = 36
TOO_LATE = "the program was faster than the test"  # on a busy machine
ALL = os.environ.get("VTRACE_TEST_ALL") == "1"


class Wrong(Exception):
    """Something is not as it must be."""


def check(condition, what, *args):
    if not condition:
        raise Wrong(what % args)


def wait_for(condition, what):
    """Looks again and again; gives the CPU away in between."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        check(time.monotonic() < end, "waited %d s in vain for: %s", PATIENCE_S, what)
        os.sched_yield()


class Counter:
    """One run of counter.c under vtrace, in a directory of its own."""

    def __init__(self, args, iterations, threads, how, options=("-f",), output="trace.jsonl", stderr=None):
        self.directory = tempfile.mkdtemp(prefix="vtrace-fault.")
        self.iterations, self.threads = iterations, threads
        self.shared_path, self.trace = self.path("shared"), self.path("trace.jsonl")
        with open(self.shared_path, "wb") as file:
            file.write(bytes(4096))
        with open(self.shared_path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 4096)
        command = [args.vtrace, *options]
        if output:
            command += ["-o", output if set("/|") & set(output) else self.path(output)]
        command += [args.counter, self.shared_path, self.directory, str(iterations), str(threads), how]
        with open(self.path("stdout"), "wb") as out, open(self.path("stderr"), "wb") as err:
            self.front = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=stderr or err)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        for pid in (self.front.pid, self.word(0)):
            if kind and pid:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        if kind:
            print("left behind: " + self.directory)
            return
        self.memory.close()
        shutil.rmtree(self.directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def word(self, index):
        return struct.unpack_from("<q", self.memory, index * 8)[0]

    @property
    def pid(self):
        return self.word(0)

    @property
    def finished(self):
        return self.word(2) == 1

    def started(self, thread):
        return self.word(3 + thread)

    def done(self, thread):
        return self.word(3 + THREADS + thread)

    def total(self):
        return sum(self.done(thread) for thread in range(self.threads))

    def await_progress(self, point):
        wait_for(lambda: self.total() >= point or self.front.poll() is not None, "%d writes" % point)

    def await_standstill(self, seconds):
        """Until it made no progress for that long; says where it was."""
        before, since = -1, time.monotonic()
        while time.monotonic() - since < seconds:
            if self.total() != before:
                before, since = self.total(), time.monotonic()
            time.sleep(0.01)
        return before

    def await_pause(self):
        """Until the program sleeps in pause(2), which the kernel tells. (A stop on the way to it has that number as well.)"""
        self.await_sleep(34)

    def await_sleep(self, number):
        wait_for(lambda: self.word(1) == 1, "the program to block")
        def in_call():
            with open("/proc/%d/stat" % self.pid, encoding="ascii") as file:
                sleeps = file.read().rpartition(")")[2].split()[0] == "S"
            with open("/proc/%d/syscall" % self.pid, encoding="ascii") as file:
                return file.read().startswith("%d " % number) and sleeps
        wait_for(in_call, "call %d" % number)

    def keeper(self):
        """None: it is done already."""
        with open("/proc/%d/task/%d/children" % (self.front.pid, self.front.pid), encoding="ascii") as file:
            children = file.read().split()
        return int(children[0]) if children else None

    def written(self, thread):
        """How many numbers the thread's file holds; they must be 0, 1, 2 ..."""
        if not os.path.exists(self.path(str(thread))):
            return 0
        lines = self.read(str(thread)).split()
        check(lines == [b"%d" % i for i in range(len(lines))], "thread %d wrote the wrong numbers", thread)
        return len(lines)

    def check_output(self):
        """The program did all it should."""
        check(self.finished, "the program did not finish")
        for thread in range(self.threads):
            check(self.written(thread) == self.iterations, "thread %d wrote %d numbers of %d", thread,
                  self.written(thread), self.iterations)
        check(b"counted %d" % self.iterations in self.read("stdout"), "the program did not say its last word")

    # ---- the trace ----

    def events(self):
        """Every line is JSON, or all is one document; the header comes first."""
        if os.path.exists(self.path("trace.json")):
            document = json.loads(self.read("trace.json"))
            events = [document["header"], *document["events"], document["footer"]]
        else:
            events = [json.loads(line) for line in self.read("trace.jsonl").splitlines()]
        check(events and events[0]["type"] == "header", "the trace has no header")
        return events

    def check_trace(self, events, dead=True):
        """What the program is known to have done is in the trace, once, in order; what it was doing is unfinished."""
        files, writes, last = {}, collections.defaultdict(list), {}
        for event in events:
            if event["type"] != "syscall":
                continue
            last[event["tid"]] = event
            if event["name"] == "openat" and event["args"][1]["value"] != "" and event["state"] == "done":
                name = event["args"][1]["value"]
                name = name["text"] if isinstance(name, dict) else name
                if name.startswith(self.directory) and name[len(self.directory) + 1:].isdigit():
                    files[event["tid"]] = int(name[len(self.directory) + 1:])
            elif event["name"] == "write" and event["tid"] in files:
                writes[files[event["tid"]]].append(event)
        for thread in range(self.threads):
            self.check_writes(thread, writes[thread][:self.iterations], dead)
        for event in events:
            unfinished = event["type"] == "syscall" and event["state"] == "unfinished"
            check(not unfinished or last[event["tid"]] is event or event["name"].startswith("exit"),
                  "an unfinished call is not the last of its thread: %s", event)
        return last

    def check_writes(self, thread, events, dead):
        numbers = [event["args"][1]["value"] for event in events]
        check(numbers == ["%d\n" % i for i in range(len(numbers))], "thread %d: the trace's writes are out of order", thread)
        finished = sum(event["state"] == "done" for event in events)
        check(finished >= self.done(thread), "thread %d: %d writes returned, %d are in the trace", thread,
              self.done(thread), finished)
        check(self.written(thread) <= len(events) <= self.started(thread),
              "thread %d: %d numbers in the file, %d writes in the trace, %d begun", thread, self.written(thread), len(events),
              self.started(thread))
        check(dead or finished == self.iterations, "thread %d: %d writes of %d in the trace", thread, finished, self.iterations)


def footer_of(events):
    return events[-1] if events[-1]["type"] == "footer" else None


# ---- the program is killed ----

def program_killed_running(args, rng):
    threads = rng.choice((1, 1, 2, 3))
    with Counter(args, 300, threads, "run") as run:
        run.await_progress(1 + rng.randrange(300 * threads)) # not before there is a program
        for _ in range(rng.randrange(3000)):
            pass
        try:
            os.kill(run.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass # it was faster
        run.front.wait(PATIENCE_S)
        events = run.events()
        check(footer_of(events) and footer_of(events)["complete"], "the trace is not complete")
        run.check_trace(events)
        if not run.finished:
            check(run.front.returncode == -signal.SIGKILL, "vtrace ended with %d", run.front.returncode)
            check(any(e["type"] == "exit" and e.get("signal") == "SIGKILL" for e in events), "the trace lacks the kill")


def program_killed_blocked(args, rng):
    """The call it dies in is shown, unfinished, and last."""
    with Counter(args, rng.randrange(40), 1, "block") as run:
        run.await_pause()
        os.kill(run.pid, signal.SIGKILL)
        run.front.wait(PATIENCE_S)
        events = run.events()
        last = run.check_trace(events)[run.pid]
        check(last["name"] == "pause" and last["state"] == "unfinished", "the last call is %s", last)
        check(run.written(0) == run.iterations, "not all was written")
        check(footer_of(events) and footer_of(events)["complete"], "the trace is not complete")


# ---- the front is killed, stopped, starved ----

def reap(run):
    """All descendants of vtrace are our children once it is dead: (pid -> wait status)."""
    statuses = {}
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return statuses
        if pid:
            statuses[pid] = status
        else:
            check(time.monotonic() < end, "the program hangs (%d writes)", run.total())
            os.sched_yield()


def front_killed(args, rng):
    """The program and its children finish, with the right output; execs made later work."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    threads, options = rng.choice((1, 2)), rng.choice((("-f",), ("-f",), ()))
    with Counter(args, 64, threads, "spawn", options) as run:
        point = rng.randrange(-10, 64 * threads)
        if point > 0:
            run.await_progress(point)
        else:
            for _ in range(rng.randrange(200000)): # while it starts
                pass
        started = run.pid
        run.front.kill()
        reap(run) # the keeper; it has waited for the program
        run.front.returncode = -signal.SIGKILL
        if not started and not run.pid:
            return # vtrace was killed before there was a program
        run.check_output()
        for i in range(0, 64, 16):
            check(b"child %d\n" % i in run.read("stdout"), "child %d is missing", i)
        for line in run.read("trace.jsonl").splitlines()[:-1]:
            json.loads(line) # whole lines, but perhaps the last


def front_stopped(args, rng):
    """The program waits, for as long as it takes; nothing is lost."""
    with Counter(args, 6000, 2, "run") as run:
        run.await_progress(rng.randrange(500))
        run.front.send_signal(signal.SIGSTOP)
        too_late = run.finished
        before = run.await_standstill(1)
        check(too_late or before < 12000, "the rings took everything: the program never waited")
        run.front.send_signal(signal.SIGCONT)
        run.front.wait(PATIENCE_S)
        check(run.front.returncode == 7, "vtrace ended with %d", run.front.returncode)
        run.check_output()
        run.check_trace(run.events(), dead=False)
        check(footer_of(run.events())["complete"] and not footer_of(run.events())["lost"], "the trace is not complete")
        return TOO_LATE if too_late else None


def front_without_memory(args, rng):
    """No memory for the front: it says so, closes its output and ends; the program goes on."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    output = rng.choice(("trace.json", "trace.jsonl"))
    backlog = rng.random() < 0.5 # it needs memory at once, and more than its heap has
    with Counter(args, *((3000, 4, "run") if backlog else (64, 2, "spawn")), output=output) as run:
        run.await_progress(1 + rng.randrange(60))
        if backlog:
            run.front.send_signal(signal.SIGSTOP)
            run.await_standstill(0.2)
        with open("/proc/%d/statm" % run.front.pid, encoding="ascii") as file:
            size = int(file.read().split()[0]) * mmap.PAGESIZE
        try:
            resource.prlimit(run.front.pid, resource.RLIMIT_AS, (size, size))
        except ProcessLookupError:
            pass
        run.front.send_signal(signal.SIGCONT)
        statuses = reap(run)
        run.front.returncode = statuses[run.front.pid]
        run.check_output()
        code = os.waitstatus_to_exitcode(statuses[run.front.pid])
        check(code in (7, 125), "vtrace ended with %d", code)
        check(code == 7 or b"memory" in run.read("stderr"), "vtrace did not say why")
        events = run.events()
        notes = [e["text"] for e in events if e["type"] == "note"]
        footer = footer_of(events)
        check(footer, "the trace is not closed")
        check(footer["complete"] == (code == 7 and not any("lost" in note for note in notes)),
              "calls are lost, but the trace says it is complete")
        return "the front %s" % ("did without" if code == 7 else "ended")


CHILD_DIED_OF_SIGSYS = 9 # counter.c: a shell that has just begun still makes dispatched calls

# Without rewritten sites every call is a dispatched one.
SITES = "sites" in os.environ.get("VTRACE_LAYERS", "sites")


def keeper_killed(args, rng):
    """The front tells that the trace is cut, and ends; nothing hangs. The program goes on, but for threads that are in a stop for
    SIGSYS at that very moment."""
    how = rng.choice(("run", "calls", "raw", "sleep"))
    return keeper_killed_in(args, rng, how)


def keeper_killed_in(args, rng, how):
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    iterations = {"run": 2000, "calls": 100000, "raw": 2000, "sleep": 20}[how]
    with Counter(args, iterations, 1, how) as run:
        if how == "sleep":
            run.await_sleep(230) # clock_nanosleep
        else:
            run.await_progress(1 + rng.randrange(iterations // 4))
        keeper = run.keeper()
        if not keeper:
            run.front.wait(PATIENCE_S)
            return TOO_LATE
        os.kill(keeper, signal.SIGKILL)
        statuses = reap(run)
        run.front.returncode = statuses[run.front.pid]
        code = os.waitstatus_to_exitcode(statuses[run.front.pid])
        program = os.waitstatus_to_exitcode(statuses[run.pid])
        if code == 7:
            return TOO_LATE
        check(code == 125, "vtrace ended with %d", code)
        check(b"the keeper was killed: the trace is cut" in run.read("stderr"), "vtrace did not say so")
        check(program in (-signal.SIGSYS, 7, CHILD_DIED_OF_SIGSYS), "the program ended with %d", program)
        ending = run.total() >= iterations # it then makes calls for the first time, which are dispatched
        check(how == "raw" or not SITES or ending or program != -signal.SIGSYS,
              "a program without dispatched calls (%s) ended with %d", how, program)
        run.check_trace_until_cut()
        return "%s %s" % (how, {7: "finished", CHILD_DIED_OF_SIGSYS: "lost its child"}.get(program, "died of SIGSYS"))


def check_trace_until_cut(run):
    events = run.events()
    footer = footer_of(events)
    check(footer and not footer["complete"], "a cut trace says it is complete")


Counter.check_trace_until_cut = check_trace_until_cut


# ---- the output ----

def output_fails(args, rng, output, what, iterations=100, **more):
    with Counter(args, iterations, 1, "run", output=output, **more) as run:
        run.front.wait(PATIENCE_S)
        run.check_output()
        check(run.front.returncode == 1, "vtrace ended with %d", run.front.returncode)
        if what:
            check(what in run.read("stderr"), "vtrace did not say why: %s", run.read("stderr"))


def output_full(args, rng):
    output_fails(args, rng, "/dev/full", b"No space left on device")


def output_command_ends(args, rng):
    # More than the pipe and head's buffer hold: head may be late.
    output_fails(args, rng, "|head -1 >/dev/null", b"Broken pipe", iterations=3000)


def output_pipe_ends(args, rng):
    """vtrace PROGRAM 2>&1 | head"""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        output_fails(args, rng, None, None, stderr=writer)
    finally:
        os.close(writer)


def output_disk_full(args, rng):
    """A file system of 64 KiB, in a mount namespace of our own."""
    libc = ctypes.CDLL(None)
    if os.geteuid() or libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 0x44000, None):
        print("skipped: a small file system cannot be mounted")
        sys.exit(SKIP)
    with tempfile.TemporaryDirectory() as directory:
        check(libc.mount(b"none", directory.encode(), b"tmpfs", 0, b"size=64k") == 0, "mount")
        try:
            output_fails(args, rng, os.path.join(directory, "t.jsonl"), b"No space left on device")
            with open(os.path.join(directory, "t.jsonl"), "rb") as file:
                for line in file.read().splitlines()[:-1]:
                    json.loads(line)
        finally:
            libc.umount2(directory.encode(), 2)


# ---- the shared memory is scribbled over ----

def scribbled(args, rng):
    """vtrace says that a ring is damaged, keeps what came before, and ends as the program does."""
    os.environ.pop("VTRACE_LAYERS", None) # without an agent there are no rings
    what = rng.choice(("arena", "heads", "positions", "data", "wait", "silence", "thread", "freed"))
    with tempfile.TemporaryDirectory() as directory:
        trace = os.path.join(directory, "t.jsonl")
        command = [args.vtrace, "-f", "-o", trace, args.scribble, str(rng.randrange(1 << 32)), what]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as front:
            try:
                _, text = front.communicate(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                front.kill()
                raise Wrong("%s: vtrace hangs" % " ".join(command)) from None
        with open(trace, "rb") as file:
            events = [json.loads(line) for line in file.read().splitlines()]
        damaged = any(e["type"] == "note" and "damaged" in e["text"] for e in events)
        footer = footer_of(events)
        check(footer, "%s: the trace is not closed (%s)", command, text)
        check(footer["complete"] == (not damaged), "%s: damaged %s, complete %s", command, damaged, footer["complete"])
        check(damaged or what in ("wait", "thread", "data", "freed"), "%s: the damage was not seen", command)
        dead = [e.get("signal") for e in events if e["type"] == "exit"][-1:]
        check(what != "freed" or front.returncode == 0, "%s: two threads had one place: %d", command, front.returncode)
        check(front.returncode == 0 or dead and front.returncode == -getattr(signal, dead[0] or "", 0),
              "%s: vtrace ended with %d, the program with %s", command, front.returncode, dead)


# fault -> (points in a normal run, points in --all)
FAULTS = {
    program_killed_running: (20, 200), program_killed_blocked: (10, 200), front_killed: (20, 200), front_stopped: (1, 10),
    front_without_memory: (5, 50), keeper_killed: (5, 50), output_full: (1, 1), output_command_ends: (1, 1),
    output_pipe_ends: (1, 1), output_disk_full: (1, 1), scribbled: (20, 200),
}


def main():
    by_name = {fault.__name__: fault for fault in FAULTS}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fault", choices=by_name)
    parser.add_argument("--points", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--vtrace", default="build/vtrace")
    parser.add_argument("--counter", default="build/tests/faults/counter")
    parser.add_argument("--scribble", default="build/tests/faults/scribble")
    args = parser.parse_args()
    fault, said = by_name[args.fault], collections.Counter()
    points = args.points or FAULTS[fault][ALL]
    for point in range(points):
        try:
            said[fault(args, random.Random("%d.%d" % (args.seed, point)))] += 1
        except Wrong as wrong:
            print("%s, point %d of seed %d: %s" % (args.fault, point, args.seed, wrong))
            return 1
    print("%s: %d points" % (args.fault, points) + "".join("; %d times %s" % (n, what) for what, n in said.items() if what))
    return 0


if __name__ == "__main__":
    sys.exit(main())
