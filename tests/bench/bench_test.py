#!/usr/bin/python3
"""bench/bench.py measures, and all of vtrace's outputs report the same calls of the same program. No time is looked at.

    bench_test.py --vtrace PATH"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

BENCH = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "bench/bench.py")
RIVALS = ("native", "text", "json", "record", "summary", "filtered", "floor")
CALLS = 20000   # of getppid's loop with --quick
FILES = {"results.json", "results.md", "workloads.svg", "calls.svg"}


def problems(results):
    cells = results["workloads"]["getppid"]
    for rival in RIVALS:
        if cells[rival]["note"] or len(cells[rival]["runs"]) != 1:
            yield "%s: %s" % (rival, cells[rival]["note"] or "no run")
            return
    runs = {rival: cells[rival]["runs"][0] for rival in RIVALS}
    events = {rival: run["events"] for rival, run in runs.items()}
    if not CALLS <= events["text"] == events["json"] == events["record"] == events["summary"] + 1:  # without exit_group
        yield "the outputs differ: %s" % events
    if abs(events["floor"] - events["text"]) > 1:
        yield "ptrace's floor differs: %s" % events
    if not 1 <= events["filtered"] <= 5:
        yield "filtered: %s" % events
    if runs["json"]["lost"] or runs["record"]["lost"] or not runs["json"]["complete"]:
        yield "lost: %s" % runs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vtrace", required=True)
    vtrace = parser.parse_args().vtrace
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run([sys.executable, "-B", BENCH, "--quick", "--rivals", ",".join(RIVALS), "--vtrace", vtrace,
                               "--out", directory, "getppid"], stdout=subprocess.PIPE, text=True, timeout=300, check=True)
        with open(os.path.join(directory, "results.json"), encoding="utf-8") as file:
            found = list(problems(json.load(file)))
        if set(os.listdir(directory)) != FILES or "| `getppid` loop: 20,000 |" not in done.stdout:
            found.append("the files are %s; stdout is:\n%s" % (os.listdir(directory), done.stdout))
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
