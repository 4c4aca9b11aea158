"""The report in Markdown: ratios to native, the events each tool reported and lost, the targets of the issue."""
import collections
import statistics

from rivals import RIVALS
from workloads import WORKLOADS

NONE = "–"


# ---- figures ----

def costs(cell):
    return [run["cost"] for run in cell["runs"]] if cell else []


def median(cell):
    return statistics.median(costs(cell)) if costs(cell) else None


def ratio(results, workload, rival):
    """Median over median of native; None where there is nothing."""
    cells = results["workloads"].get(workload, {})
    mine, native = median(cells.get(rival)), median(cells.get("native"))
    return mine / native if mine and native else None


def spread(results, workload, rival):
    cells = results["workloads"][workload]
    native = median(cells.get("native"))
    return [cost / native for cost in (min(costs(cells[rival])), max(costs(cells[rival])))]


def events(workload, cell):
    """(median of the calls reported, calls lost in the worst run): what the tool says, or what the workload made for sure."""
    counted = [run for run in cell["runs"] if run.get("events") is not None]
    if not counted:
        return None, 0
    certain = WORKLOADS[workload].certain * cell["count"]
    lost = max(max(run.get("lost") or 0, certain - run["events"]) for run in counted)
    return int(statistics.median(run["events"] for run in counted)), lost


def seconds(value):
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return "%.3g %s" % (value / size, unit)
    return "%.0f ns" % (value * 1e9)


def short(value):
    return "%.2f" % value if value < 10 else "%.0f" % value


# ---- tables ----

def table(heads, rows):
    lines = ["| %s |" % " | ".join(row) for row in [heads, ["---"] * len(heads), *rows]]
    return "\n".join(lines) + "\n"


def columns(results):
    """The rivals that were run anywhere, but those only some workload has."""
    used = {name for cells in results["workloads"].values() for name in cells}
    return [name for name in RIVALS if name in used and not RIVALS[name].extra]


def ratio_cell(results, workload, rival):
    cell = results["workloads"][workload].get(rival)
    if not cell or not cell["runs"]:
        return NONE
    if rival == "native":
        unit = "/request" if WORKLOADS[workload].server else "/call" if WORKLOADS[workload].printed else ""
        scale = 1 if unit else cell["count"]
        return "%s%s" % (seconds(median(cell) * scale), unit)
    low, high = spread(results, workload, rival)
    kept = ", %.0f %% kept" % (100 / ratio(results, workload, rival)) if WORKLOADS[workload].server else ""
    return "**%s** (%s–%s%s)" % (short(ratio(results, workload, rival)), short(low), short(high), kept)


def title(results, workload):
    counts = sorted({cell["count"] for cell in results["workloads"][workload].values()}, reverse=True)
    shown = "" if counts == [1] else ": " + " / ".join("{:,}".format(count) for count in counts)
    return WORKLOADS[workload].title + shown


def ratios(results):
    names = columns(results)
    rows = [[title(results, workload), *(ratio_cell(results, workload, rival) for rival in names)] for workload in results["workloads"]]
    return table(["workload", *(RIVALS[name].title for name in names)], rows)


def events_cell(workload, cell):
    if not cell or not cell["runs"]:
        return NONE
    count, lost = events(workload, cell)
    return "{:,}{}".format(count, ", **{:,} lost**".format(lost) if lost else "")


def sites_cell(cell):
    shares = [run["sites"] for run in cell["runs"] if run.get("sites") is not None] if cell else []
    return "%.1f %%" % (100 * statistics.median(shares)) if shares else NONE


def events_table(results):
    names = [name for name in columns(results) if name != "native" and RIVALS[name].full]
    rows = [[title(results, workload), *(events_cell(workload, cells.get(rival)) for rival in names), sites_cell(cells.get("json"))]
            for workload, cells in results["workloads"].items()]
    return table(["calls reported", *(RIVALS[name].title for name in names), "by rewritten sites"], rows)


def notes(results):
    lines = ["* %s: left out, %s" % (RIVALS[rival].title, why) for rival, why in results["left_out"].items()]
    lines += ["* %s, %s: %s" % (workload, rival, cell["note"].replace("\n", " "))
              for workload, cells in results["workloads"].items() for rival, cell in cells.items() if cell["note"]]
    return "\nNot measured, or not in all rounds:\n\n" + "\n".join(lines) + "\n" if lines else ""


# ---- targets ----

# value: a function of the results, None where it was not measured. show: value -> text. least: the limit is the least, not the most.
Target = collections.namedtuple("Target", "title limit value show least", defaults=(False,))


def slower(workload, rival="text"):
    return lambda results: ratio(results, workload, rival)


def kept(workload):
    def value(results):
        found = ratio(results, workload, "text")
        return 100 / found if found else None
    return value


def formatted(form):
    return lambda results: results.get("formatter", {}).get(form)


def sites(results):
    found = [run["sites"] for cells in results["workloads"].values() if "json" in cells
             for run in cells["json"]["runs"] if run.get("sites") is not None]
    return 100 * min(found) if found else None


def best(cell):
    return min((run["best"] for run in cell["runs"]), default=None) if cell else None


def added_ns(rival, pick):
    def value(results):
        cells = results["workloads"].get("inside", {})
        native, traced = pick(cells.get("native")), pick(cells.get(rival))
        return (traced - native) * 1e9 if native and traced else None
    return value


def memory(results):
    found = [run["memory_kib"] / 1024 for cells in results["workloads"].values()
             for rival, cell in cells.items() if rival in ("text", "json", "record", "summary") for run in cell["runs"]]
    return max(found) if found else None


def nanoseconds(value):
    return "%.0f ns" % value


def times(value):
    return "%.2f ×" % value


def percent(value):
    return "%.1f %%" % value


def millions(value):
    return "%.1f M/s" % (value / 1e6)


TARGETS = [
    Target("getppid, in-process cost over native, without the net: medians", 60, added_ns("record_no_net", median), nanoseconds),
    Target("the same, best bursts", 60, added_ns("record_no_net", best), nanoseconds),
    Target("getppid, in-process cost with the net: medians", 120, added_ns("record", median), nanoseconds),
    Target("the same, best bursts", 120, added_ns("record", best), nanoseconds),
    Target("`dd bs=1`, text", 1.5, slower("dd"), times),
    Target("`dd bs=1`, JSON", 2, slower("dd", "json"), times),
    Target("`dd bs=1`, record", 1.4, slower("dd", "record"), times),
    Target("`dd bs=1`, `-e trace=openat`", 1.25, slower("dd", "filtered"), times),
    Target("process storm", 1.5, slower("storm"), times),
    Target("`gcc -c` of a small file", 1.15, slower("gcc"), times),
    Target("`git status`", 1.15, slower("git"), times),
    Target("`python3` start", 1.15, slower("python"), times),
    Target("`find /usr/share`", 1.25, slower("find"), times),
    Target("`tar` of /usr/share/doc", 1.25, slower("tar"), times),
    Target("Redis, throughput kept", 70, kept("redis"), percent, least=True),
    Target("nginx, throughput kept", 70, kept("nginx"), percent, least=True),
    Target("pgbench, throughput kept", 70, kept("pgbench"), percent, least=True),
    Target("formatter, events a second, text (`replay`)", 3e6, formatted("text"), millions, least=True),
    Target("formatter, events a second, JSON (`replay`)", 2e6, formatted("json"), millions, least=True),
    Target("calls by rewritten sites, the least workload", 97, sites, percent, least=True),
    Target("the front's memory, rings included", 64, memory, lambda mib: "%.0f MiB" % mib),
]


def targets(results):
    rows = []
    for target in TARGETS:
        value = target.value(results)
        if value is not None:
            met = value >= target.limit if target.least else value <= target.limit
            rows.append([target.title, "%s %s" % ("≥" if target.least else "≤", target.show(target.limit)), target.show(value),
                         "met" if met else "**not met**"])
    return table(["target", "", "measured", ""], rows) if rows else ""


def caption(results):
    machine = results["machine"]
    rounds = sorted({len(cell["runs"]) for cells in results["workloads"].values() for cell in cells.values() if cell["runs"]})
    return ("`%s` at %s, %s: Linux %s, %d CPUs (%s), load %.1f before it began; %s, %s. %.0f s, %s interleaved rounds.\n" % (
        results["command"].strip(), machine["commit"], results["started"], machine["kernel"], machine["cpus"], machine["cpu"],
        results["load_before"][0], machine["strace"], machine["perf"], results["seconds"], "–".join(map(str, sorted({rounds[0], rounds[-1]})))))


def report(results):
    parts = [caption(results),
             "Native: the median. Others: **the median's ratio to it** (the least and the greatest run's). Two counts: the second is of "
             "`strace -f` and ptrace's floor, whose ratios are per call.\n",
             ratios(results), events_table(results), targets(results)]
    return "\n".join(part for part in parts if part) + notes(results)
