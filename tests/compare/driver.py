#!/usr/bin/python3
"""Compares vtrace's lines with strace's for every system call and every kind of argument.

    driver.py DRIVER [--vtrace PATH] [--show N] [--keep] [SYSCALL ...]

DRIVER is the program gen/gen_driver.py made. It runs in a throw-away directory, without privileges, at addresses that do
not change; each system call in a child and directory of its own. A line that differs must be in driver_differences,
where every entry says why; an entry nothing needs any more is an error, too. What is not decoded yet is counted in
driver_left, SYSCALL LINES: more than that is an error, so it can only shrink. --write-left writes it anew."""
import argparse
import collections
import difflib
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
WORK = "/tmp/vtrace-driver.%d" % os.getpid()
NOBODY = 65534
LIMIT = 240    # seconds for one run

# What differs between two runs of the same program.
VARYING = [
    (re.compile(r"\b(si_pid|l_pid)=\d+"), r"\1=PID"),
    (re.compile(r"\btv_sec=\d{4,}(, tv_[nu]sec=\d+)?"), "TIME"),
    (re.compile(r"\b(u64|val)=0x[0-9a-f]+"), r"\1=N"),
    (re.compile(r"\b(st|stx)_([amcb]time)=\S+( /\* [^*]* \*/)?"), r"\1_\2=TIME"),
    (re.compile(r"\b(f_(bfree|bavail|ffree|files|blocks|fsid)|freeram|sharedram|bufferram|freeswap|uptime|procs|loads)"
                r"=(\{[^}]*\}|\[[^]]*\]|\d+)"), r"\1=N"),
    (re.compile(r"\b(tms_[a-z]+|ru_[a-z]+)=(\{[^}]*\}|\d+( /\* [^*]* \*/)?)"), r"\1=N"),
]
PER_CALL = {    # results and arguments that are a clock, a pid, random
    "times": r"(?<== )\d+", "time": r"\b\d{6,}\b|\b\d{4}-\d\d-\d\dT[\d:]+", "setitimer": r"tv_usec=\d+", "getpid": r"\d+$", "gettid": r"\d+$", "getppid": r"\d+$", "getpgrp": r"\d+$",
    "getpgid": r"\d+$", "getsid": r"\d+$", "setsid": r"\d+$", "set_tid_address": r"\d+$", "clock_gettime": r"tv_n?sec=\d+",
    "gettimeofday": r"tv_u?sec=\d+", "getrandom": r'"[^"]*"(\.\.\.)?', "getcpu": r"\[\d+\]", "getcwd": r"\d+\b",
    "clock_adjtime": r"\b\d{4,}\b", "adjtimex": r"\b\d{4,}\b", "getitimer": r"tv_usec=\d+", "timerfd_gettime": r"tv_nsec=\d+",
    "add_key": r"\b\d{6,}\b", "keyctl": r"\b\d{6,}\b", "request_key": r"\b\d{6,}\b", "statx": r"stx_ino=\d+", "sysinfo": r"=\d+",
    "getsockopt": r"\bpid=\d+|SO_COOKIE, \"[^\"]*\"", "getresuid": r"(?!)", "mincore": r"\[[^]]*\]", "name_to_handle_at": r"f_handle=0x[0-9a-f]+|\[\d+\]", "pidfd_open": r"(?!)",
    "io_setup": r"0x7[0-9a-f]{8,}", "brk": r"0x5[0-9a-f]+", "mmap": r"0x[57][0-9a-f]{10,}", "mremap": r"0x[57][0-9a-f]{10,}",
}


def run(tool, driver, names, log):
    directory = os.path.join(WORK, "cwd")
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    # What the net makes visible (no_new_privs, seccomp's mode) is no matter of decoding.
    option = ["--no-net"] if log.endswith("vtrace.txt") else []
    command = ["setarch", "-R", tool, *option, "-f", "-o", log, driver, *names]
    if os.getuid() == 0:
        os.chown(directory, NOBODY, NOBODY)
        command = ["unshare", "-i", "setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups", *command]
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC0"}
    subprocess.run(command, cwd=directory, env=environment, timeout=LIMIT, check=False,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def aligned(line):
    """The result in the column it has when nothing came between (five digits of pid and two blanks are before)."""
    match = re.match(r"(.*\)) += (.*)$", line)
    return match[1].ljust(33) + " = " + match[2] if match else line


def joined(lines):
    """Unfinished calls with their resumption: where the parent's lines come between is the scheduler's choice."""
    made, begun = [], None
    for line in lines:
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", line)
        if line.endswith("<unfinished ...>") and not resumed:
            begun = line[:-len("<unfinished ...>")].rstrip(" ")
            begun += " " if begun.endswith(",") else ""
        elif resumed and begun is not None:
            made.append(aligned(begun + resumed[1]))
            begun = None
        else:
            made.append(line)
    return made


def read(path):
    """System call -> the lines of its child behind the set-up."""
    children = collections.OrderedDict()
    with open(path, encoding="utf-8", errors="surrogateescape") as text:
        for line in text:
            pid, _, rest = line.rstrip("\n").partition(" ")
            if not rest.lstrip(" ").startswith("+++ vtrace: "): # a note
                children.setdefault(pid, []).append(rest.lstrip(" "))
    calls = collections.OrderedDict()
    for lines in list(children.values())[1:]:
        lines = joined(lines)
        start = [i for i, line in enumerate(lines) if line.startswith("alarm(5)")]
        name = re.match(r'mkdir\("(\w+)"', next((line for line in lines if line.startswith("mkdir(")), ""))
        if name and start:
            calls[name[1]] = lines[start[0] + 1:]
    return calls


def plain(name, line):
    for pattern, replacement in VARYING:
        line = pattern.sub(replacement, line)
    if name in PER_CALL:
        line = re.sub(PER_CALL[name], "VARYING", line)
    return re.sub(r"\) +=", ") =", line) if "VARYING" in line or "PID" in line or "TIME" in line else line


def pairs(name, theirs, ours):
    """(line of strace or None, line of vtrace or None) where they differ."""
    left, right = [plain(name, line) for line in theirs], [plain(name, line) for line in ours]
    if len(left) == len(right):
        return [(a, b) for x, y, a, b in zip(left, right, theirs, ours) if x != y]
    found = []
    for tag, a1, a2, b1, b2 in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag != "equal":
            found += [(theirs[a1 + i] if a1 + i < a2 else None, ours[b1 + i] if b1 + i < b2 else None)
                      for i in range(max(a2 - a1, b2 - b1))]
    return found


class Reviewed:
    """driver_differences: SYSCALL /PATTERN/ REASON; the pattern is searched in strace's line, or in vtrace's."""

    def __init__(self, path):
        self.entries = []
        with open(path, encoding="utf-8") as text:
            for number, line in enumerate(text, 1):
                match = re.match(r"(\S+) +/(.*)/ +(\S.*)$", line)
                if match:
                    self.entries.append([match[1], re.compile(match[2]), number, 0])
                elif line.strip() and not line.startswith("#"):
                    sys.exit("driver_differences:%d: not `SYSCALL /PATTERN/ REASON`" % number)

    def covers(self, name, theirs, ours):
        for entry in self.entries:
            if entry[0] in (name, "*") and (entry[1].search(theirs or "") or entry[1].search(ours or "")):
                entry[3] += 1
                return True
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("driver")
    parser.add_argument("--vtrace", default="build/vtrace")
    parser.add_argument("--strace", default="strace")
    parser.add_argument("--show", type=int, default=-1, help="differences to show for each system call")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--logs", nargs=2, help="compare these two logs, run nothing")
    parser.add_argument("--write-left", action="store_true")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    sys.stdout.reconfigure(errors="backslashreplace")
    reviewed = Reviewed(os.path.join(HERE, "driver_differences"))
    logs = args.logs or [os.path.join(WORK, name + ".txt") for name in ("strace", "vtrace")]
    if not args.logs:
        os.makedirs(WORK)
        os.chmod(WORK, 0o777)
        copies = [shutil.copy(path, WORK) for path in (args.vtrace, args.driver)]   # nobody may not see the build
        for tool, log in zip((args.strace, copies[0]), logs):
            run(tool, copies[1], args.names, log)
    theirs, ours = read(logs[0]), read(logs[1])
    left_path = os.path.join(HERE, "driver_left")
    with open(left_path, encoding="utf-8") as text:
        left = {line.split()[0]: int(line.split()[1]) for line in text if not line.startswith("#")}
    lines = differing = expected = 0
    counts, worse = {}, []
    for name in theirs:
        if args.names and name not in args.names:
            continue
        lines += len(theirs[name])
        found = pairs(name, theirs[name], ours.get(name, []))
        new = [pair for pair in found if not reviewed.covers(name, *pair)]
        differing += len(new)
        counts[name] = len(new)
        if len(new) > left.get(name, 0):
            worse.append("%s: %d lines differ, %d are known" % (name, len(new), left.get(name, 0)))
        expected += len(found) - len(new)
        if new and args.show >= 0:
            print("%s: %d of %d lines differ" % (name, len(new), len(theirs[name])))
        for pair in new[:max(args.show, 0)]:
            print("  strace %s\n  vtrace %s" % pair)
    unused = [] if args.names else [entry for entry in reviewed.entries if not entry[3]]
    for entry in unused:
        print("driver_differences:%d: nothing differs so any more" % entry[2])
    print("\n".join(worse), end="\n" if worse else "")
    if args.write_left:
        with open(left_path, "w", encoding="utf-8") as out:
            out.write("# Lines of the driver that are not yet strace 6.1's: SYSCALL LINES.\n")
            out.writelines("%s %d\n" % (name, count) for name, count in counts.items() if count)
    print("%d lines of %d system calls; %d differ as reviewed, %d differ" % (lines, len(theirs), expected, differing))
    if not args.keep and not args.logs:
        shutil.rmtree(WORK, ignore_errors=True)
    return 0 if lines and not worse and not unused else 1


sys.exit(main())
