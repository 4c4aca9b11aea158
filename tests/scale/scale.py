#!/usr/bin/python3
"""Many threads, many processes, many calls: all are in the trace, and vtrace's memory has a bound.

    scale.py threads|processes|calls|names [--vtrace V] [--many M]

VTRACE_TEST_ALL=1 in the environment: 20,000 processes and 100 million calls in one trace. The figures are printed."""
import argparse
import os
import re
import subprocess
import sys
import tempfile
import time

ALL = os.environ.get("VTRACE_TEST_ALL") == "1"
FRONT_KIB = 64 * 1024    # the goal for the front, besides rings
THREAD_KIB = 64          # the goal for an idle thread


def memory(pid):
    """(anonymous, shared, peak) in KiB; zeros when it is gone."""
    try:
        with open("/proc/%d/status" % pid, encoding="ascii") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0, 0
    return tuple(int(match[1]) if (match := re.search(key + r":\s*(\d+)", text)) else 0
                 for key in ("RssAnon", "RssShmem", "VmHWM"))


class Run:
    """One traced run; `peak` holds the front's largest memory, seen every few milliseconds. With `only` the trace is text, of
    which nothing is kept but the number of lines that begin so."""

    def __init__(self, args, what, count, only=None):
        with tempfile.TemporaryDirectory(prefix="vtrace-scale.") as directory:
            trace = os.path.join(directory, "t.jsonl")
            output = "|grep -c '^%s' >%s" % (only, trace) if only else trace
            command = [args.vtrace, *([] if only else ["-f"]), "-o", output, args.many, what, str(count)]
            begin = time.monotonic()
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as front:
                self.peak = (0, 0, 0)
                while front.poll() is None:
                    self.peak = tuple(map(max, self.peak, memory(front.pid)))
                    time.sleep(0.01)
                self.seconds = time.monotonic() - begin
                self.output, self.errors = front.stdout.read().decode(), front.stderr.read().decode()
                self.status = front.returncode
            if only:
                with open(trace, encoding="ascii") as file:
                    self.lines = int(file.read())
            else:
                self.counts, self.notes, self.footer = self.read(trace)

    @staticmethod
    def read(trace):
        counts, notes, line = {}, [], ""
        with open(trace, encoding="utf-8") as file:
            for line in file:
                kind = re.match(r'\{"type":"(\w+)"', line)[1]
                name = re.search(r'"name":"(\w+)"', line)[1] if kind == "syscall" else "event_" + kind
                counts[name] = counts.get(name, 0) + 1
                if kind == "note":
                    notes.append(line)
        return counts, notes, line

    def check_run(self, output):
        assert self.status == 0, "status %d: %s" % (self.status, self.errors)
        assert self.output == output, self.output
        assert self.peak[0] < FRONT_KIB, "the front took %d KiB" % self.peak[0]
        return self

    def check(self, output, **counts):
        self.check_run(output)
        assert '"complete":true' in self.footer and re.search('"lost":0[,}]', self.footer), self.footer
        assert not self.notes, self.notes[0]
        for name, count in counts.items():
            assert self.counts.get(name) == count, "%s: %s in the trace, not %d" % (name, self.counts.get(name), count)
        return self


def describe(run):
    return "front's peak %.1f MiB, of that anonymous %.1f MiB, rings %.1f MiB; %.1f s" \
        % (run.peak[2] / 1024, run.peak[0] / 1024, run.peak[1] / 1024, run.seconds)


def not_grown(first, run_more):
    """What is kept of each shows in every run. What waits to be read, on a busy machine, is another amount each time."""
    for _ in range(5):
        second = run_more()
        if second.peak[0] < first.peak[0] + 2048:
            return second
    raise AssertionError("the front grew: %s KiB, then %s KiB" % (first.peak[0], second.peak[0]))


def threads(args):
    count = 1000
    native = subprocess.run([args.many, "threads", str(count)], check=True, capture_output=True, text=True)
    run = Run(args, "threads", count).check("threads: %d\n" % (6 * count), lseek=6 * count, event_exit=count + 1)
    per_thread = (int(run.errors) - int(native.stderr)) / count
    assert per_thread < THREAD_KIB, "%.1f KiB per idle thread" % per_thread
    print("%d threads: %.1f KiB per idle thread; %s" % (count, per_thread, describe(run)))


def processes(args):
    """Twice, so that what stays behind of each process would show."""
    few, many = (2000, 20000) if ALL else (100, 500)
    first = Run(args, "processes", few).check("processes: %d\n" % few, event_exit=few + 1)
    second = not_grown(first, lambda: Run(args, "processes", many).check("processes: %d\n" % many, event_exit=many + 1))
    print("%d processes: %s\n%d processes: %s" % (few, describe(first), many, describe(second)))


def calls(args):
    few, many = 20000, 200000
    first = Run(args, "calls", few).check("calls: %d\n" % few, getppid=few)
    second = not_grown(first, lambda: Run(args, "calls", many).check("calls: %d\n" % many, getppid=many))
    print("%d calls: %s\n%d calls: %s" % (few, describe(first), many, describe(second)))
    if ALL:
        count = 100000000
        third = not_grown(first, lambda: Run(args, "calls", count, only="getppid() ").check_run("calls: %d\n" % count))
        assert third.lines == count, "%d calls in the trace" % third.lines
        print("%d calls: %s" % (count, describe(third)))


def names(args):
    """Nothing is kept of a name that was only tried."""
    few, many = 500, 5000
    first = Run(args, "names", few).check("names: %d\n" % few, execve=few + 1)
    second = not_grown(first, lambda: Run(args, "names", many).check("names: %d\n" % many, execve=many + 1))
    print("%d names: %s\n%d names: %s" % (few, describe(first), many, describe(second)))


def main():
    by_name = {function.__name__: function for function in (threads, processes, calls, names)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=by_name)
    parser.add_argument("--vtrace", default="build/vtrace")
    parser.add_argument("--many", default="build/tests/scale/many")
    args = parser.parse_args()
    by_name[args.what](args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
