#!/usr/bin/python3
"""Compares vtrace with strace, and a traced program with the same program untraced.

    compare.py trace WORKLOAD    strace -f and vtrace -f of the same command: per process the same calls, in the same
                                 order, with the same arguments and results
    compare.py output WORKLOAD   stdout, stderr and exit status are the same with and without vtrace
    compare.py replay WORKLOAD   a recording shows the same, byte by byte, as the outputs written in the same run
    compare.py --list            the workloads

With --tool strace the comparison is of strace with itself: it shows what the normalisation must take out, no more.
What is taken out is listed in NORMALISE and in `Trace`; everything else must be equal to the letter."""
import argparse
import collections
import ctypes
import difflib
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORK = "/tmp/vtrace-compare"
SHOWN = 8          # differences printed per process
CONTEXT = 300      # lines looked at behind the first difference

HELLO = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'


# ---- workloads ----

def git_repository(directory, env):
    def git(*args):
        subprocess.run(["git", *args], cwd=directory, env=env, check=True, stdout=subprocess.DEVNULL)
    git("init", "-q")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "first")


def compiled(*command):
    def prepare(directory, env):
        subprocess.run([*command], cwd=directory, env=env, check=True)
    return prepare


THREADS = os.path.join(ROOT, "tests/torture/threads.c")
ADDR_NO_RANDOMIZE = 0x40000
LIBC = ctypes.CDLL(None)
PIPELINE = "cat /etc/passwd | sort | uniq -c | tail -1"
# name -> (command, how to prepare its directory, its threads race)
WORKLOADS = {
    "ls": (["ls", "-l", "/usr", "/etc/alternatives"], None, False), # / has link counts and sizes that change by themselves
    "cat": (["cat", "/etc/passwd"], None, False),
    "pipeline": (["sh", "-c", PIPELINE], None, False),
    "python": (["/usr/bin/python3", "-c", 'import json,subprocess; subprocess.run(["true"])'], None, False),
    "gcc": (["gcc", "-c", "hello.c"], None, False),
    "git": (["git", "log", "-1"], git_repository, False),
    "tar": (["tar", "cf", "/dev/null", "/etc"], None, False),
    "perl": (["perl", "-e", "print 1"], None, False),
    "find": (["find", "/usr/share/doc", "-name", "copyright"], None, False),
    "curl": (["curl", "--version"], None, False),
    "threads": (["./threads"], compiled("gcc", "-D_GNU_SOURCE", "-O1", "-pthread", "-o", "threads", THREADS), True),
    "static": (["./hello"], compiled("gcc", "-static", "-o", "hello", "hello.c"), False),
    "musl": (["./hello"], compiled("musl-gcc", "-o", "hello", "hello.c"), False),
    "musl-static": (["./hello"], compiled("musl-gcc", "-static", "-o", "hello", "hello.c"), False),
}


def same_addresses():
    """When a program asks for memory depends on its addresses: gcc's tables are sorted by them."""
    LIBC.personality(ADDR_NO_RANDOMIZE)


class Run:
    """One workload in a directory of its own, made afresh (at the same path) for every run."""

    def __init__(self, name):
        self.command, self.prepare, self.racing = WORKLOADS[name]
        self.directory = os.path.join(WORK, "%s.%d" % (name, os.getpid()))
        self.env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": os.path.join(self.directory, "cwd"),
                    "XDG_CACHE_HOME": self.path("cache"),
                    "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "PERL_HASH_SEED": "0", "GIT_CONFIG_NOSYSTEM": "1",
                    "PYTHONDONTWRITEBYTECODE": "1", "TZ": "UTC0",
                    "GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z"}

    def path(self, name):
        return os.path.join(self.directory, name)

    def run(self, tracer, label):
        """(stdout, stderr, wait status) of the command under `tracer` (a list, empty for none)."""
        cwd = self.path("cwd")
        shutil.rmtree(cwd, ignore_errors=True)
        os.makedirs(cwd)
        with open(os.path.join(cwd, "hello.c"), "w", encoding="ascii") as source:
            source.write(HELLO)
        if self.prepare:
            self.prepare(cwd, self.env)
        outputs = [self.path("stdout"), self.path("stderr")]
        with open(outputs[0], "wb") as out, open(outputs[1], "wb") as err:
            done = subprocess.run([*tracer, *self.command], cwd=cwd, env=self.env, stdin=subprocess.DEVNULL,
                                  stdout=out, stderr=err, check=False, preexec_fn=same_addresses)
        texts = []
        for path in outputs:
            with open(path, "rb") as file:
                texts.append(file.read())
        if self.prepare is None and texts[1] and label != "untraced":
            sys.stderr.buffer.write(texts[1])
        return texts[0], texts[1], done.returncode

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)


# ---- a text trace, per process ----

LINE = re.compile(r"^(?:\[pid +)?(\d+)\]? +(.*)$")
UNFINISHED = re.compile(r"^(.*?) ?<unfinished \.\.\.>$")
RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$")
CALL = re.compile(r"^(\w+)\((.*)\)( +)= (.*)$", re.S)
RESTART = re.compile(r"^\? ERESTART")

NEW_PROCESS = {"clone", "clone3", "fork", "vfork"}
# In these, numbers that are pids of the trace are pids.
PID_CALLS = NEW_PROCESS | {
    "wait4", "waitid", "getpid", "gettid", "getppid", "getpgrp", "getpgid", "getsid", "setsid", "setpgid",
    "set_tid_address", "kill", "tkill", "tgkill", "pidfd_open", "ioctl"}
FIRST_IS_PID = {"prlimit64", "sched_getaffinity"} # what follows are limits and sizes, which may be equal to a pid of the trace
PID_RESULTS = {"getpid", "gettid", "getppid", "getpgrp", "getpgid", "getsid", "set_tid_address"}
READS = {"read", "pread64", "getdents64"}
# Threads that run at once: how often these are called is the scheduler's choice (lock contention, malloc arenas).
RACING_CALLS = {"futex", "mmap", "munmap", "mprotect", "madvise", "brk"}
# When Python needs a new arena hangs on addresses (the hash of an object is its address): counted, not placed.
DATAGRAMS = {"sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg"}
ARENA = re.compile(r"^mmap\(NULL, 1048576, PROT_READ\|PROT_WRITE, MAP_PRIVATE\|MAP_ANONYMOUS, -1, 0\)")

NORMALISE = [
    (re.compile(r"0x(?!53053053\b)[0-9a-f]{6,16}\b"), "ADDR"),                        # ASLR
    (re.compile(r"\{tv_sec=-?\d+, tv_[nu]sec=-?\d+\}"), "{TIME}"),
    (re.compile(r"\bsi_([us])time=\d+( /\* [^*]* \*/)?"), r"si_\1time=TIME"),
    (re.compile(r"\btv_sec=\d+(, tv_[nu]sec=\d+)?"), "TIME"),
    (re.compile(r"/tmp/cc[A-Za-z0-9]{6}"), "/tmp/ccTEMP"),                            # gcc's temporaries
    (re.compile(r"tmp_obj_[A-Za-z0-9]{6}"), "tmp_obj_TEMP"),
    (re.compile(r"(/proc/)\d+"), r"\1PID"),
    (re.compile(r"\bst_[amc]time=\S+( /\* [^*]* \*/)?"), "st_TIME"),
    (re.compile(r"\bf_(bfree|bavail|ffree|favail|files|blocks)=\d+"), r"f_\1=N"),     # the disk is in use
    (re.compile(r"\b(freeram|sharedram|bufferram|freeswap|uptime|procs)=\d+"), r"\1=N"),
    (re.compile(r"\bloads=\[[^]]*\]"), "loads=N"),
]


class Call:
    def __init__(self, raw, text, resumed, column):
        self.raw, self.resumed, self.column = raw, resumed, column
        match = CALL.match(text)
        if match:
            self.name, self.args, self.pad, self.result = match.groups()
        else:
            self.name = self.args = self.pad = self.result = None
        self.text = text
        self.normal = None


class Process:
    def __init__(self, pid):
        self.pid, self.calls = pid, []
        self.async_lines = []  # counted, but their place among the calls is the scheduler's choice
        self.masks = set()     # what rt_sigreturn restored
        self.children = set()  # who SIGCHLD came from: two that end at once give one signal


class Trace:
    """Reads a trace; `processes` maps a label ("0", "0.1", "0.1.2": the second child of the first of the root) to it."""

    def __init__(self, path, racing):
        self.racing, self.errors, by_pid = racing, [], {}
        self.processes = {}
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            self.root = self.join(file, by_pid)
        self.label(by_pid, self.root, "0")
        for pid in by_pid:
            if pid not in self.labels.values():
                self.errors.append("pid %d is in the trace, but nobody created it" % pid)
        names = {pid: label for label, pid in self.labels.items()}
        for label, pid in self.labels.items():
            process = by_pid.get(pid)
            if process:
                self.normalise(process, names)
                self.processes[label] = process

    def join(self, file, by_pid):
        """Lines into calls, unfinished ones with their resumption."""
        root, pending = None, {}
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            match = LINE.match(line)
            if not match:
                self.errors.append("line %d is not a line of strace: %s" % (number, line))
                continue
            pid, text = int(match[1]), match[2]
            root = pid if root is None else root
            process = by_pid.setdefault(pid, Process(pid))
            column = match.start(2)
            unfinished, resumed, whole = UNFINISHED.match(text), RESUMED.match(text), False
            if unfinished and not resumed:
                if pid in pending:
                    self.errors.append("line %d: a call begins while another is open: %s" % (number, line))
                pending[pid] = (unfinished[1], line)
                continue
            if resumed:
                begin, raw = pending.pop(pid, ("", ""))
                if not begin.startswith(resumed[1] + "("):
                    self.errors.append("line %d resumes what is not open: %s" % (number, line))
                begin = begin or resumed[1] + "("
                text, line = begin + resumed[2], raw + "\n        " + line
                match_death = re.match(r"^(.*?) ?<unfinished \.\.\.>\)( +)= \?$", text)
                if match_death:
                    text = match_death[1] + ")" + match_death[2] + "= ?"
                whole = True
            call = Call(line, text, whole, column)
            if call.name is None and text[:3] not in ("---", "+++"):
                self.errors.append("line %d is no call: %s" % (number, line))
                continue
            process.calls.append(call)
        for pid, (begin, line) in pending.items():
            if not begin.startswith(("exit", "execve")):
                self.errors.append("never resumed: " + line)
        return root

    def label(self, by_pid, pid, label):
        self.labels = getattr(self, "labels", {})
        self.labels[label] = pid
        count = 0
        for call in by_pid[pid].calls if pid in by_pid else []:
            if call.name in NEW_PROCESS and re.match(r"\d+", call.result):
                child = int(re.match(r"\d+", call.result)[0])
                if child > 0:
                    count += 1
                    self.label(by_pid, child, "%s.%d" % (label, count))

    def normalise(self, process, names):
        files, kept = {}, []

        def pids(text):
            return re.sub(r"\b\d+\b", lambda m: "<%s>" % names[int(m[0])] if int(m[0]) in names else m[0], text)

        for at, call in enumerate(process.calls):
            if call.name is None and call.text.startswith("+++ vtrace: "):
                continue # a note: what vtrace could not do, which strace does not say
            if call.name is None: # signals and exits
                text = re.sub(r"\b(si_pid=|in pid )(\d+)", lambda m: m[1] + pids(m[2]), call.text)
                call.normal = plain(text)
                child = re.match(r"--- SIGCHLD .*\bsi_pid=<([\d.]+)>", text)
                if child:
                    process.children.add(child[1])
                elif text.startswith("---"):
                    process.async_lines.append(call)
                else:
                    kept.append(call)
                continue
            if RESTART.match(call.result):
                # Where a signal finds the program is the scheduler's choice. What it interrupted is begun again or fails
                # with EINTR: that second call is compared. But the signal has to follow.
                after = process.calls[at + 1].text if at + 1 < len(process.calls) else "(nothing)"
                if not after.startswith("--- "):
                    self.errors.append("no signal follows: %s\n        %s" % (call.raw, after))
                continue
            if call.name == "rt_sigreturn":
                process.masks.add(call.args) # as many as handlers ran; its result is that of the call it interrupted
                continue
            if self.racing and call.name in RACING_CALLS:
                continue
            if ARENA.match(call.text):
                call.normal = plain(call.text)
                process.async_lines.append(call)
                continue
            kept.append(call)
            name, args, result = call.name, call.args, call.result
            if name == "restart_syscall":
                resuming = re.search(r"resuming interrupted (\w+)", args)
                name, args = (resuming[1] if resuming else name), "..."
            if name in PID_CALLS:
                args, result = pids(args), pids(result)
            if name in FIRST_IS_PID:
                args = re.sub(r"^\d+", lambda m: pids(m[0]), args)
            if name in PID_RESULTS and re.match(r"\d+$", result):
                result = "PID"
            args, result = self.varying(files, name, args, result)
            if name == "wait4" and re.match(r"<", result):
                other = Call(call.raw, call.text, call.resumed, call.column)
                other.normal = plain("%s(%s) = %s" % (name, args, result))
                process.async_lines.append(other) # in which order children end
                args = result = "..."
            call.normal = plain("%s(%s) = %s" % (name, args, result))
            if name == "getrandom" and len(kept) > 1 and kept[-2].normal == call.normal:
                kept.pop() # mkstemp asks again when it does not like the number
            if "O_CREAT|O_EXCL" in args and len(kept) > 1 and kept[-2].name == "getrandom":
                del kept[-2] # mkstemp asks only when it does not like the number it made of its stack's address
        process.calls = kept

    @staticmethod
    def varying(files, name, args, result):
        """Takes out what differs between two runs of the same program: random bytes, what /proc and /sys hold."""
        first = re.match(r"-?\w+", args)
        fd = first[0] if first else None
        if name in ("open", "openat") and result.isdigit():
            path = re.search(r'"([^"]*)"', args)
            files[result] = path[1] if path else ""
        elif name in ("dup", "dup2", "dup3", "fcntl") and fd in files and result.isdigit() and "DUP" in name + args:
            files[result] = files[fd]
        elif name == "close":
            files.pop(fd, None)
        elif name == "getrandom":
            args = re.sub(r'"[^"]*"(\.\.\.)?', "RANDOM", args)
        elif name in DATAGRAMS: # questions to a name server hold a random number
            args = fd + ", DATAGRAM"
        elif name == "poll":
            args = re.sub(r", 49\d\d$", ", 5000", args) # what is left of a resolver's five seconds
        elif name in READS and files.get(fd, "").startswith(("/proc", "/sys", "/dev/urandom")):
            args, result = fd + ", VARYING", "N" if result.isdigit() and result != "0" else result
        elif name == "munmap":
            args = re.sub(r", \d{7,}$", ", SIZE", args) # the ends of a malloc arena
        elif name == "readlink" and '"/proc/self' in args:
            args = re.sub(r'"\d+"', "PID", args)
        return args, result


def plain(text):
    for pattern, replacement in NORMALISE:
        text = pattern.sub(replacement, text)
    return text


# ---- comparing ----

def alignment_errors(trace):
    """` = ` stands in column 40 of the line, or right behind what is longer."""
    for process in trace.processes.values():
        for call in process.calls:
            if call.name is None or call.resumed or "\n" in call.raw:
                continue
            text = call.name + "(" + call.args + ")"
            wanted = max(1, 40 - call.column - len(text.encode("utf-8", "surrogateescape")))
            if len(call.pad) != wanted:
                yield "`=` is %d columns off: %s" % (len(call.pad) - wanted, call.raw)


def show(title, differences):
    for number, (ours, theirs) in enumerate(differences):
        if number == SHOWN:
            print("  ... and more")
            break
        print("  %s\n    strace: %s\n    vtrace: %s" % (title, theirs or "(nothing)", ours or "(nothing)"))


def sequence_differences(theirs, ours):
    """Pairs of raw lines; after the first difference a window is aligned, so that one missing call counts once."""
    at = 0
    while at < min(len(theirs), len(ours)) and theirs[at].normal == ours[at].normal:
        at += 1
    left, right = theirs[at:at + CONTEXT], ours[at:at + CONTEXT]
    matcher = difflib.SequenceMatcher(None, [c.normal for c in left], [c.normal for c in right], autojunk=False)
    for tag, a1, a2, b1, b2 in matcher.get_opcodes():
        if tag == "equal":
            continue
        for i in range(max(a2 - a1, b2 - b1)):
            yield (right[b1 + i].raw if b1 + i < b2 else None, left[a1 + i].raw if a1 + i < a2 else None)


def compare_process(label, theirs, ours):
    differences = list(sequence_differences(theirs.calls, ours.calls))
    bags = [collections.Counter(c.normal for c in p.async_lines) for p in (theirs, ours)]
    extra = [(None, line) for line in (bags[0] - bags[1]).elements()]
    extra += [(line, None) for line in (bags[1] - bags[0]).elements()]
    if differences or extra:
        print("process %s: %d calls and exits with strace, %d with vtrace" % (label, len(theirs.calls), len(ours.calls)))
        show("calls differ" if len(differences) < CONTEXT else "calls differ from here on", differences)
        show("signals or waited-for children differ", extra)
    if theirs.masks != ours.masks:
        print("process %s: rt_sigreturn%s with strace, %s with vtrace" % (label, sorted(theirs.masks), sorted(ours.masks)))
        return False
    strangers = [child for child in theirs.children | ours.children if not child.startswith(label + ".")]
    if strangers or bool(theirs.children) != bool(ours.children):
        print("process %s: SIGCHLD from %s with strace, from %s with vtrace"
              % (label, sorted(theirs.children), sorted(ours.children)))
        strangers = True
    return not differences and not extra and not strangers


def compare_traces(strace, vtrace):
    same = True
    for trace, name in ((strace, "strace"), (vtrace, "vtrace")):
        for error in (trace.errors + list(alignment_errors(trace)))[:SHOWN]:
            print("%s's trace: %s" % (name, error))
            same = False
    for label in sorted(set(strace.processes) | set(vtrace.processes)):
        if label not in vtrace.processes or label not in strace.processes:
            only = "strace" if label in strace.processes else "vtrace"
            print("process %s is only in %s's trace" % (label, only))
            same = False
        else:
            same &= compare_process(label, strace.processes[label], vtrace.processes[label])
    return same


def trace_command(args, workload):
    run = Run(workload)
    traces, statuses = [], []
    for name, tool in (("A", "strace"), ("B", args.tool)):
        log = run.path(name)
        os.makedirs(run.directory, exist_ok=True)
        statuses.append(run.run([tool, "-f", "-o", log], name)[2])
        if not os.path.exists(log):
            print("%s wrote no trace" % tool)
            return False
        traces.append(Trace(log, run.racing))
    same = compare_traces(*traces)
    if statuses[0] != statuses[1]:
        print("exit status: %d under strace, %d under %s" % (statuses[0], statuses[1], args.tool))
        same = False
    counts = "%d processes, %d calls" % (len(traces[0].processes), sum(len(p.calls) for p in traces[0].processes.values()))
    note = "; not compared, because the threads race: " + " ".join(sorted(RACING_CALLS)) if run.racing else ""
    print("%s: %s (%s%s)" % (workload, "equal" if same else "DIFFERENT", counts, note))
    if args.keep or not same:
        print("traces: %s (strace), %s (vtrace)" % (run.path("A"), run.path("B")))
    else:
        run.remove()
    return same


def output_command(args, workload):
    run = Run(workload)
    native = run.run([], "untraced")
    traced = run.run([args.tool, "-f", "-o", "/dev/null"], "untraced")
    same = True
    for what, theirs, ours in zip(("stdout", "stderr"), native, traced):
        if theirs != ours:
            print("%s differs:" % what)
            print("\n".join(list(difflib.unified_diff(
                theirs.decode("utf-8", "replace").splitlines(),
                ours.decode("utf-8", "replace").splitlines(), "untraced", "traced", lineterm=""))[:40]))
            same = False
    if native[2] != traced[2]:
        print("exit status: %d untraced, %d traced" % (native[2], traced[2]))
        same = False
    print("%s: %s (status %d, %d bytes of output)"
          % (workload, "equal" if same else "DIFFERENT", native[2], len(native[0]) + len(native[1])))
    run.remove()
    return same


# Options of a run, and those of them that the recording does not keep: its replay is given them again.
REPLAYED = [
    ([], []),
    (["-y", "-s", "100", "--vdso"], ["-v", "-T", "-ttt", "--via", "-C"]),
    (["-e", "trace=%file,%process,read,mmap", "-e", "signal=!SIGCHLD", "-e", "status=failed,unfinished"], ["-r", "-xx"]),
]
FORMATS = ("txt", "json", "jsonl")


def replay_command(args, workload):
    run, same, sizes = Run(workload), True, []
    os.makedirs(run.directory, exist_ok=True)
    for recorded, shown in REPLAYED:
        outputs = [run.path("live." + suffix) for suffix in FORMATS + ("vtr", "vtr.zst")]
        run.run([args.tool, "-f", *recorded, *shown, *[word for path in outputs for word in ("-o", path)]], "untraced")
        for recording in ("live.vtr", "live.vtr.zst"):
            again = [run.path("replay." + suffix) for suffix in FORMATS]
            done = subprocess.run([args.tool, "replay", *shown, *[word for path in again for word in ("-o", path)],
                                   run.path(recording)], check=False)
            for live, path in zip(outputs, again):
                with open(live, "rb") as first, open(path, "rb") as second:
                    if first.read() != second.read():
                        print("%s and %s of %s differ (%s)" % (live, path, recording, " ".join(recorded + shown)))
                        same = False
            if done.returncode:
                print("replay of %s: status %d" % (recording, done.returncode))
                same = False
        sizes.append(os.path.getsize(outputs[0]))
        if not same:
            return False
    print("%s: equal (%s bytes of text)" % (workload, ", ".join(map(str, sizes))))
    run.remove()
    return same and all(sizes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", default=os.path.join(ROOT, "build/vtrace"), help="default: build/vtrace")
    parser.add_argument("--keep", action="store_true", help="keep the traces")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("what", nargs="?", choices=("trace", "output", "replay"))
    parser.add_argument("workload", nargs="*", metavar="WORKLOAD")
    args = parser.parse_args()
    if args.list:
        print("\n".join(WORKLOADS))
        return 0
    sys.stdout.reconfigure(errors="backslashreplace")
    unknown = [name for name in args.workload if name not in WORKLOADS]
    if unknown or not args.what:
        parser.error("unknown workload: %s" % " ".join(unknown) if unknown else "trace, output or replay?")
    command = {"trace": trace_command, "output": output_command, "replay": replay_command}[args.what]
    results = [command(args, name) for name in args.workload or WORKLOADS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
