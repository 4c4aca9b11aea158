#!/usr/bin/python3
"""Compares a trace with what the kernel itself counted.

    kernel.py NAME...    runs workloads of compare.py, programs (a path), shell commands (with a space) or programs of
                         tests/real (real_NAME) under vtrace -f, while the kernel's raw_syscalls tracepoints record the same threads
    kernel.py --list     the workloads

Thread by thread the numbers and results of all syscalls must be equal and in the same order. The only calls the trace may
lack are those the agent makes to place itself (AGENT_CALLS): they are known by their arguments, counted and named.
The last call of a killed thread is unfinished in the trace (and for strace), whatever the kernel wanted to return; a thread
killed between the agent's record and the kernel's beginning has an unfinished call that the kernel never saw.
Exit status 77: not root, or no tracefs here."""
import argparse
import collections
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../real"))
import compare # pylint: disable=wrong-import-position
import real # pylint: disable=wrong-import-position
import tracefs # pylint: disable=wrong-import-position

SKIP = 77
FIRST_KIB, LAST_KIB = 16384, 262144
SHOWN = 6

# tracer/wire/agent.h
AGENT_BASE = 0x551000000000
AGENT_END = AGENT_BASE + 0x1000000 + 512 * 0x200000
CLOSE, MMAP, SIGACTION, EXECVE, EXECVEAT, MEMFD = 3, 9, 13, 59, 322, 319
PPOLL, RESTART_SYSCALL = 271, 219
NOT_MADE = -38  # what a call's result is until something else is put there
BIRTHS = {56, 57, 58, 435}
GETPID, GETTID, QUEUE = 39, 186, 297
MAP_FIXED_NOREPLACE = 0x100000


def in_agent(address):
    return AGENT_BASE <= address < AGENT_END


class Call:
    """What the kernel saw. `result` None: it never came back. `last`: its thread died in it or right behind it. `began`: a
    filter let it in."""
    def __init__(self, nr, args, began=True):
        self.nr, self.args, self.result, self.last, self.began = nr, args, None, False, began


# Calls that the keeper makes in a thread, each with what tells it: (name, is it one, given the agent's open descriptor).
AGENT_CALLS = (
    ("mmap of the agent's text, data, threads and trampolines", lambda call, fd: call.nr == MMAP and
     call.args[3] & MAP_FIXED_NOREPLACE and call.args[5] == AGENT_BASE),  # the mark: keeper/inject.c
    ("memfd_create of the rings", lambda call, fd: call.nr == MEMFD and call.args[5] == AGENT_BASE),
    ("mmap of the rings", lambda call, fd: call.nr == MMAP and in_agent(call.args[0]) and
     call.args[3] & MAP_FIXED_NOREPLACE and call.args[4] == fd),
    ("close of the rings' descriptor", lambda call, fd: call.nr == CLOSE and call.args[0] == fd),
    ("ppoll of a thread whose ring is full", lambda call, fd: call.nr == PPOLL and in_agent(call.args[2])),
    ("getpid, gettid for a signal made pending again", lambda call, fd: call.nr in (GETPID, GETTID) and in_agent(call.args[0])),
    ("rt_tgsigqueueinfo of it", lambda call, fd: call.nr == QUEUE and in_agent(call.args[3])),
    ("rt_sigaction that restores the program's action", lambda call, fd: call.nr == SIGACTION and in_agent(call.args[1]) and
     call.args[2] == 0),
)


class AgentCalls:
    """Recognises the agent's own calls of one thread; remembers the descriptor between memfd_create and close."""
    def __init__(self, counts):
        self.counts, self.fd = counts, None

    def take(self, call):
        for name, matches in AGENT_CALLS:
            if matches(call, self.fd):
                self.counts[name] += 1
                if call.nr == MEMFD:
                    self.fd = call.result
                elif call.nr == CLOSE:
                    self.fd = None
                return True
        return False


# ---- the two sides, each: tid -> calls ----

def kernel_calls(events):
    """Enters and exits joined. A new thread begins with the exit of its parent's clone, which is the parent's call."""
    calls, opened, problems = collections.defaultdict(list), {}, []
    for event in events:
        if isinstance(event, tracefs.Enter):
            opened[event.tid] = Call(event.nr, event.args)
            calls[event.tid].append(opened[event.tid])
        elif isinstance(event, tracefs.Exec):
            if event.former != event.tid:  # another thread's exec: the thread is the leader from here on
                opened[event.tid] = opened.pop(event.former)
                calls[event.former].remove(opened[event.tid])
                calls[event.tid].append(opened[event.tid])
        elif isinstance(event, tracefs.Death):
            opened.pop(event.tid, None)
            if calls[event.tid]:
                calls[event.tid][-1].last = True
        elif event.tid in opened:
            opened.pop(event.tid).result = event.result
        elif calls[event.tid] or not (event.nr in BIRTHS and event.result == 0):
            # Beginnings come behind the filters of seccomp: one of the program's answered.
            calls[event.tid].append(Call(event.nr, (0,) * 6, began=False))
            calls[event.tid][-1].result = event.result
    return calls, problems


def raw_result(call):
    if call["ret"] is None:
        return None
    if "errno" in call["ret"]:
        return -call["ret"]["errno"]
    value = call["ret"]["value"]
    return int(value, 0) if isinstance(value, str) else value


def is_emulated(event):
    """A call of the vsyscall page: the kernel has no tracepoint there."""
    return event["caught"] == "net" and event["site"] is not None and event["site"]["object"] == "[vsyscall]"


def trace_calls(path):
    calls, ends = collections.defaultdict(list), []
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            event = json.loads(line)
            if event["type"] == "syscall" and not is_emulated(event):
                calls[event["tid"]].append(event)
            elif event["type"] == "process":
                calls[event["tid"]] = calls[event["tid"]]
            elif event["type"] in ("footer", "lost", "note"):
                ends.append(event)
    return calls, ends


# ---- comparing ----

def names():
    table = {}
    with open("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", encoding="ascii") as file:
        for line in file:
            match = re.match(r"#define __NR_(\w+) (\d+)", line)
            if match:
                table[int(match[2])] = match[1]
    return table


NAMES = names()


def spell(nr, result, more=""):
    return "%s%s = %s" % (NAMES.get(nr, "syscall_%d" % nr), more, "?" if result is None else result)


def same_result(ours, theirs):
    if ours is None or theirs is None:
        return ours is theirs
    return (ours - theirs) % (1 << 64) == 0


def equal(call, event):
    result = raw_result(event)
    return call.nr == event["nr"] and (event["state"] == "unavailable" or same_result(result, call.result) or result is None and call.last)


def is_restart(result):
    return result is not None and -516 <= result <= -512


def net_saw_once(call, following, ours):
    """A call of a thread that was let go, made twice: if the net received both, the trace has both."""
    return ours and ours[0]["state"] == "unavailable" and following and following[0].nr == call.nr and \
        [event["nr"] for event in ours] != [call.nr, call.nr]


def made_again(call, following):
    """Interrupted without any stop, by the freezer or by a stop that SIGCONT undid, and made again by the kernel: a known gap."""
    return is_restart(call.result) and following and \
        following[0].nr in (call.nr, RESTART_SYSCALL) and following[0].args[0] == call.args[0]


def compare_thread(tid, theirs, ours, counts):
    """Walks both lists; yields what differs."""
    agent, at = AgentCalls(counts), 0
    for number, call in enumerate(theirs):
        if agent.take(call):
            continue
        if is_restart(call.result) and not call.last and net_saw_once(call, theirs[number + 1:number + 2], ours[at:at + 2]):
            counts["(a signal met it before the net saw it: made again)"] += 1
            continue
        if at < len(ours) and equal(call, ours[at]):
            at += 1
            continue
        if not call.began and is_restart(call.result) and not call.last:
            counts["(a signal met it before the net saw it: made again)"] += 1
            continue
        if at == len(ours) and call.last and not call.began and call.result == NOT_MADE:
            counts["(killed in a thread's stop before the call: nobody saw it)"] += 1
            continue
        if made_again(call, theirs[number + 1:number + 2]):
            counts["(no stop: made again inside the agent, one call in the trace)"] += 1
            continue
        text = "thread %d, call %d: kernel %s" % (tid, at, spell(call.nr, call.result, "(%s)" % ", ".join(map(hex, call.args))))
        if at == len(ours):
            yield text + ", not in the trace"
        elif at + 1 < len(ours) and equal(call, ours[at + 1]):
            yield "thread %d, call %d: only in the trace: %s" % (tid, at, spell(ours[at]["nr"], raw_result(ours[at])))
            at += 2
        elif ours[at]["nr"] == call.nr:
            yield text + ", trace %s (seq %d, %s)" % (raw_result(ours[at]), ours[at]["seq"], ours[at]["state"])
            at += 1
        else:
            yield text + ", trace %s (seq %d)" % (spell(ours[at]["nr"], raw_result(ours[at])), ours[at]["seq"])
    if ours[at:] and raw_result(ours[-1]) is None and (not theirs or theirs[-1].last):
        ours = ours[:-1]  # killed just before
    for event in ours[at:]:
        yield "thread %d: only in the trace: %s (seq %d)" % (tid, spell(event["nr"], raw_result(event)), event["seq"])


def after_marker(events):
    """The program's first thread tells the kernel its own pid; the kernel's record begins behind that write."""
    for number, event in enumerate(events):
        if event["name"] == "write" and event["args"][1]["value"] == "%d\n" % event["tid"]:
            return events[number + 1:]
    raise RuntimeError("the trace lacks the write that starts the kernel's record")


def compare_all(events, path):
    theirs, problems = kernel_calls(events[1:])  # the first is the end of the marker
    ours, ends = trace_calls(path)
    root, counts = events[0].tid, collections.Counter()
    ours[root] = after_marker(ours[root])
    for tid in sorted(set(theirs) | set(ours)):
        problems.extend(compare_thread(tid, theirs[tid], ours[tid], counts))
    footer = ends[-1] if ends and ends[-1]["type"] == "footer" else None
    if not footer or not footer["complete"] or footer["lost"]:
        problems.append("the trace is not complete: %s" % footer)
    problems.extend("the trace says: " + end["text"] for end in ends if end["type"] == "note" and "lost" in end["text"])
    total = sum(len(calls) for calls in theirs.values())
    return problems, "%d threads, %d calls" % (len(theirs), total), counts


# ---- running ----

THREADS = """python3 -c 'import threading, os, signal
threads = [threading.Thread(target=lambda: [os.getppid() for _ in range(100)]) for _ in range(20)]
[t.start() for t in threads]
[t.join() for t in threads]
os.kill(os.getpid(), signal.SIGTERM)'"""
POOL = """python3 -c 'import multiprocessing
pool = multiprocessing.Pool(4)
print(sum(pool.map(abs, range(50))))
pool.terminate()'"""
ALARMS = """perl -e 'use Time::HiRes qw(ualarm); $SIG{ALRM} = sub { $n++ }; ualarm(1000, 1000);
for (1..500) { open F, q(</dev/null); read F, $x, 1; close F } print "ok"'"""
KILLS = """python3 -c 'import os, signal
for i in range(20):
    pid = os.fork()
    while not pid: os.getppid(); os.stat("/")
    for _ in range(i * 50): os.getppid()
    os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0)'"""
# Shell commands beyond compare.py's workloads; what they do may differ from run to run.
COMMANDS = {
    "xargs": "seq 30 | xargs -P4 -n1 true", "timeout": "timeout -s KILL 0.2 sleep 5", "python_threads": THREADS, "pool": POOL,
    "stop": "sh -c 'sleep 1 & kill -STOP $!; kill -CONT $!; kill $!; wait'", "alarms": ALARMS, "kills": KILLS,
    "subshells": "bash -c 'for i in 1 2 3 4 5; do (exit 3) | cat & done; wait; ulimit -n 20; exec ls'",
    "gdb": "gdb -batch -ex run -ex bt /bin/true",
}

START = 'echo $$ >>"$1"; shift; exec "$@"'


class Program(compare.Run):
    """A program or shell command that is no workload of compare.py: run in the same surroundings."""
    def __init__(self, name):
        command = ["sh", "-c", name] if " " in name else [os.path.abspath(name)]
        compare.WORKLOADS["program"] = (command, None, False)
        super().__init__("program")


class RealProgram(compare.Run):
    """real_NAME: NAME of tests/real/real.py."""
    def __init__(self, name):
        program = real.PROGRAMS[name.removeprefix("real_")]
        compare.WORKLOADS[name] = (["sh", "-c", program.script], lambda cwd, env: real.write_files(program, cwd), False)
        super().__init__(name)
        self.env["PATH"] += real.SERVERS
        self.missing = real.missing(program)


def make_run(name):
    if name.startswith("real_"):
        return RealProgram(name)
    if name in COMMANDS or "/" in name or " " in name:
        return Program(COMMANDS.get(name, name))
    return compare.Run(name)


def run_once(args, run, kib):
    """(events, path of the trace), or None when the buffer was too small."""
    tracing = tracefs.Tracing(kib)
    try:
        trace = run.path("trace.jsonl")
        os.makedirs(run.directory, exist_ok=True)
        vtrace = [args.tool, "-f", *args.option, "-o", trace]
        run.run([*vtrace, "sh", "-c", START, "sh", tracing.path("set_event_pid")], "untraced")
        if tracing.lost():
            return None
        return tracing.events(), trace
    finally:
        tracing.close()


def kernel_command(args, name):
    run = make_run(name)
    kib, result = FIRST_KIB, None
    while not result:
        if kib > LAST_KIB:
            print("%s: the kernel's buffer of %d KiB per CPU is too small" % (name, LAST_KIB))
            return False
        result = run_once(args, run, kib)
        kib *= 4
    problems, size, counts = compare_all(*result)
    print("%s: %s (%s)" % (name, "DIFFERENT" if problems else "equal", size))
    for what, count in sorted(counts.items()):
        print("    the agent's own: %4d %s" % (count, what))
    for problem in problems[:SHOWN]:
        print("  " + problem)
    if len(problems) > SHOWN:
        print("  ... and %d more" % (len(problems) - SHOWN))
    if problems or args.keep:
        print("trace: " + run.path("trace.jsonl"))
    else:
        run.remove()
    return not problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", default=os.path.join(compare.ROOT, "build/vtrace"), help="default: build/vtrace")
    parser.add_argument("--option", action="append", default=[], help="a further option for vtrace")
    parser.add_argument("--keep", action="store_true", help="keep the traces")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("name", nargs="*")
    args = parser.parse_args()
    if args.list:
        print("\n".join([*compare.WORKLOADS, *COMMANDS]))
        return 0
    missing = [RealProgram(name).missing for name in args.name if name.startswith("real_")]
    if any(missing):
        print("skipped: not installed: " + " ".join(missing))
        return SKIP
    try:
        results = [kernel_command(args, name) for name in args.name or [*compare.WORKLOADS, *COMMANDS]]
    except tracefs.Unavailable as reason:
        print("skipped: %s; compare.py (strace) is the oracle here" % reason)
        return SKIP
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
