"""Who traces. A row of RIVALS is a fact: the command before the program's, and how its output tells the events."""
import collections
import json
import re
import subprocess

import bpf_floor

# prefix(tools, out, rare): the command before the program's; `out` is the file to write.
# count(tools, out): {"events": system calls reported, "lost": those the tool says it lost (None: it does not say)}.
# slow: gets fewer units and rounds. whole: all units, in one round: whether it loses events shows only then.
# extra: only run where a workload asks for it. full: reports every call. needs: the program that must be there.
# build(directory): makes the program, or says why it cannot be used here.
Rival = collections.namedtuple("Rival", "title prefix count suffix slow whole extra full needs build",
                               defaults=("", False, False, False, True, "", lambda directory: None))
# vtrace: the binary measured. floor, bpf: ptrace_floor, bpf_floor.
Tools = collections.namedtuple("Tools", "vtrace floor bpf")

LIMIT = 300
FOOTER = '],"footer":'
FOOTER_BYTES = 1 << 20   # at most


def matching(pattern, path, *options):
    """How many lines of a file match; grep is ten times as fast as Python."""
    done = subprocess.run(["grep", "-caE", *options, pattern, path], stdout=subprocess.PIPE, timeout=LIMIT, check=False)
    return int(done.stdout or 0)


def nothing(_tools, _out):
    return {"events": None, "lost": None}


def text_lines(_tools, out):
    return {"events": matching(r"^([0-9]+ +)?(\+\+\+|---|<\.\.\.|\?\?\?)", out, "-v"), "lost": None}


def footer(out):
    with open(out, "rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - FOOTER_BYTES))
        tail = file.read().decode(errors="replace")
    return json.JSONDecoder().raw_decode(tail, tail.rindex(FOOTER) + len(FOOTER))[0]


def document(_tools, out):
    """Besides: the share of the calls that were caught in rewritten sites."""
    foot = footer(out)
    calls = foot["calls"]
    return {"events": matching(r'^\{"type":"syscall"', out), "lost": foot["lost"], "complete": foot["complete"], "calls": calls,
            "traps": foot["traps"][:10], "sites": calls["site"] / (sum(calls.values()) or 1)}


def total_of(text):
    return int(re.search(r"^100\.00 +[0-9.]+ +[0-9]+ +([0-9]+)", text, re.M)[1])


def summary(_tools, out):
    with open(out, encoding="utf-8") as file:
        return {"events": total_of(file.read()), "lost": None}


def recording(tools, out):
    """What replay shows of it; -c would leave out the calls that did not return."""
    subprocess.run([tools.vtrace, "replay", "-o", out + ".json", "-o", out + ".text", out], timeout=LIMIT, check=True)
    return {**text_lines(tools, out + ".text"), "lost": footer(out + ".json")["lost"]}


def perf_lines(_tools, out):
    with open(out, encoding="utf-8", errors="replace") as file:
        lost = sum(int(count) for line in file for count in re.findall(r"LOST (\d+) events!", line))
    calls = matching(r"^ *[0-9]+\.[0-9]+ \( *([0-9.]+ ms)? *\): ", out) - matching(r"^ *[0-9.]+ \([^)]*\): .*\.\.\. \[continued\]", out)
    return {"events": calls, "lost": lost}


def number(_tools, out):
    with open(out, encoding="ascii") as file:
        return {"events": int(file.read()), "lost": None}


def number_and_lost(_tools, out):
    with open(out, encoding="ascii") as file:
        events, lost = file.read().split()
    return {"events": int(events), "lost": int(lost)}


RIVALS = {
    "native": Rival("native", lambda tools, out, rare: [], nothing),
    "text": Rival("`vtrace` text", lambda tools, out, rare: [tools.vtrace, "-f", "-o", out], text_lines),
    "text_no_net": Rival("`vtrace --no-net`", lambda tools, out, rare: [tools.vtrace, "--no-net", "-f", "-o", out],
                         text_lines, extra=True),
    "json": Rival("`vtrace` JSON", lambda tools, out, rare: [tools.vtrace, "-f", "-o", out], document, ".json"),
    "record": Rival("`vtrace record`", lambda tools, out, rare: [tools.vtrace, "record", "-f", "-o", out], recording, ".vtr"),
    "record_no_net": Rival("`vtrace record --no-net`",
                           lambda tools, out, rare: [tools.vtrace, "record", "--no-net", "-f", "-o", out],
                           recording, ".vtr", extra=True),
    "summary": Rival("`vtrace -c`", lambda tools, out, rare: [tools.vtrace, "-f", "-c", "-o", out], summary),
    "filtered": Rival("`vtrace -e trace=`", lambda tools, out, rare: [tools.vtrace, "-f", "-e", "trace=" + rare, "-o", out],
                      text_lines, full=False),
    "strace_filtered": Rival("`strace --seccomp-bpf -e trace=`",
                             lambda tools, out, rare: ["strace", "-f", "--seccomp-bpf", "-e", "trace=" + rare, "-o", out],
                             text_lines, full=False, needs="strace"),
    "floor": Rival("ptrace's floor", lambda tools, out, rare: [tools.floor, out], number, slow=True),
    "bpf": Rival("BPF's floor", lambda tools, out, rare: [tools.bpf, tools.bpf + ".o", out], number_and_lost, build=bpf_floor.build),
    "perf": Rival("`perf trace`", lambda tools, out, rare: ["perf", "trace", "-o", out, "--"], perf_lines, whole=True, needs="perf"),
    "strace": Rival("`strace -f`", lambda tools, out, rare: ["strace", "-f", "-o", out], text_lines, slow=True, needs="strace"),
}
