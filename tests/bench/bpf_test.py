#!/usr/bin/python3
"""bench/'s BPF tracer sees the calls vtrace sees, of a loop, of threads and of many processes; where it cannot be used, bench.py
says why and leaves it out. No time is looked at.

    bpf_test.py --vtrace PATH agrees|left_out
Exit status 77: it cannot be used here."""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

BENCH = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "bench/bench.py")
SKIP = 77
CERTAIN = {"getppid": 20000, "threads": 16000, "storm": 300}   # with --quick


def bench(options, rivals, *workloads, before=(), path):
    """(results, report)"""
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run([*before, sys.executable, "-B", BENCH, "--quick", "--rivals", rivals, "--vtrace", options.vtrace,
                               "--out", directory, *workloads], stdout=subprocess.PIPE, text=True, timeout=300, check=True,
                              env=dict(os.environ, PATH=path))
        with open(os.path.join(directory, "results.json"), encoding="utf-8") as file:
            return json.load(file), done.stdout


def disagreements(results):
    for workload, cells in results["workloads"].items():
        notes = [cell["note"] for cell in cells.values() if cell["note"] or len(cell["runs"]) != 1]
        if notes:
            yield "%s: %s" % (workload, notes)
            continue
        run = cells["bpf"]["runs"][0]
        seen, expected = run["events"], cells["text"]["runs"][0]["events"]
        if run["lost"] or seen < CERTAIN[workload]:
            yield "%s: %s" % (workload, run)
        # How often a thread waits for another differs from run to run.
        if workload != "threads" and seen != expected:
            yield "%s: bpf_floor counts %d calls, vtrace %d" % (workload, seen, expected)


def agrees(options):
    # A program that is looked for has failed execve() calls in front, for bpf_floor; so `sh` is where one looks first.
    path = os.path.dirname(shutil.which("sh")) + ":" + os.environ["PATH"]
    results, _ = bench(options, "native,text,bpf", *CERTAIN, path=path)
    if results["left_out"]:
        print("skipped: " + results["left_out"]["bpf"])
        sys.exit(SKIP)
    return disagreements(results)


def path_without(name, directory):
    """A directory with all commands there are but this one."""
    for place in os.environ["PATH"].split(":"):
        for command in os.listdir(place) if os.path.isdir(place) else ():
            if command != name and not os.path.lexists(os.path.join(directory, command)):
                os.symlink(os.path.join(place, command), os.path.join(directory, command))
    return directory


def not_left_out(results, report, reason):
    told = results["left_out"].get("bpf", "")
    if reason not in told or not told:
        yield "the reason is %r, not %r" % (told, reason)
    if "* BPF's floor: left out, %s\n" % told not in report or "| BPF's floor" in report:
        yield "the report:\n" + report
    if len(results["workloads"]["getppid"]["native"]["runs"]) != 1:
        yield "native was not run"


def left_out(options):
    """Without the right to use BPF; without clang."""
    powerless = ["setpriv", "--bounding-set=-bpf,-sys_admin"] if os.getuid() == 0 else []
    results, report = bench(options, "native,bpf", "getppid", before=powerless, path=os.environ["PATH"])
    # Without the packages or without BPF in the kernel, it is that.
    yield from not_left_out(results, report, "")
    with tempfile.TemporaryDirectory() as directory:
        results, report = bench(options, "native,bpf", "getppid", path=path_without("clang", directory))
    yield from not_left_out(results, report, "clang is not installed")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vtrace", required=True)
    parser.add_argument("behaviour", choices=("agrees", "left_out"))
    options = parser.parse_args()
    problems = list({"agrees": agrees, "left_out": left_out}[options.behaviour](options))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
