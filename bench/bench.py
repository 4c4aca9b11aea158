"""Measures vtrace beside its rivals; bench/run builds and calls it.

    bench.py [--quick | --long] [--rivals A,B] [--out DIR] [--vtrace FILE] [WORKLOAD...]"""
import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import time

import plot
import report
import rivals
import runner
import workloads


def arguments():
    parser = argparse.ArgumentParser(
        prog="bench/run", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measures vtrace beside its rivals. A Markdown report goes to stdout and, with the raw figures (JSON) and plots "
                    "(SVG), to a directory.",
        epilog="workloads: %s\nrivals: %s" % (" ".join(workloads.WORKLOADS), " ".join(rivals.RIVALS)))
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_const", const="quick", dest="size", help="one round of small counts: does it work?")
    size.add_argument("--long", action="store_const", const="long", dest="size", help="large counts, the same for all rivals; takes hours")
    parser.add_argument("--rivals", default=",".join(rivals.RIVALS), help="only these, separated by commas")
    parser.add_argument("--out", help="directory of the results; bench/results for the whole default set, otherwise build/bench")
    parser.add_argument("--vtrace", default=os.path.join(workloads.ROOT, "build/vtrace"), help="the binary to measure")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD")
    chosen = parser.parse_args()
    for name, table in [*((name, workloads.WORKLOADS) for name in chosen.workloads),
                        *((name, rivals.RIVALS) for name in chosen.rivals.split(","))]:
        if name not in table:
            parser.error("there is no %s; there are %s" % (name, ", ".join(table)))
    chosen.size = chosen.size or "default"
    whole = chosen.size == "default" and not chosen.workloads
    chosen.out = chosen.out or os.path.join(workloads.ROOT, "bench/results" if whole else "build/bench")
    return chosen


def first_line(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20, check=False)
        return done.stdout.split("\n")[0]
    except OSError:
        return None


def machine():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    return {"kernel": platform.release(), "cpus": len(os.sched_getaffinity(0)), "cpu": model,
            "commit": first_line("git", "-C", workloads.ROOT, "describe", "--always", "--dirty"),
            "strace": first_line("strace", "-V"), "perf": first_line("perf", "--version")}


def say(text):
    sys.stderr.write("%s %s\n" % (time.strftime("%H:%M:%S"), text))


def measure(options):
    names, asked = options.workloads or list(workloads.WORKLOADS), options.rivals.split(",")
    results = {"command": "bench/run " + shlex.join(sys.argv[1:]), "machine": machine(), "started": time.strftime("%Y-%m-%d %H:%M"),
               "load_before": os.getloadavg(), "left_out": {}, "workloads": {}}
    start = time.monotonic()
    bench = runner.Bench(os.path.abspath(options.vtrace), 100 if options.size != "long" else 3600)
    try:
        for rival in asked:
            refusal = bench.refusal(rivals.RIVALS[rival])
            if refusal:
                results["left_out"][rival] = refusal
                say("%s is left out: %s" % (rival, refusal))
        usable = [rival for rival in asked if rival not in results["left_out"]]
        for name in names:
            cells = runner.measure(bench, name, workloads.WORKLOADS[name], usable, options.size, say)
            if cells:
                results["workloads"][name] = cells
        if "text" in usable:
            results["formatter"] = runner.formatter(bench, 20000 if options.size == "quick" else 1000000)
    finally:
        bench.close()
    results["seconds"] = time.monotonic() - start
    return results


def write(directory, name, text):
    with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
        file.write(text)


def main():
    options = arguments()
    results = measure(options)
    text = report.report(results)
    os.makedirs(options.out, exist_ok=True)
    write(options.out, "results.json", json.dumps(results, indent=1) + "\n")
    write(options.out, "results.md", text)
    for name, drawing in plot.plots(results).items():
        write(options.out, name, drawing)
    sys.stdout.write(text)
    say("results are in " + options.out)


if __name__ == "__main__":
    main()
