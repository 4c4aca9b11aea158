"""Plots as SVG, written by hand: a row per workload, a dot per rival, its spread as a line, on a logarithmic axis."""
import math
from xml.sax.saxutils import escape

import report
from rivals import RIVALS
from workloads import WORKLOADS

LEFT, RIGHT, TOP, ROW, BOTTOM, LEGEND = 270, 30, 60, 26, 40, 22
WIDTH = 1000
COLOURS = {"text": "#1b6ca8", "json": "#2a9d8f", "record": "#7b2cbf", "summary": "#4895ef", "filtered": "#8ac926",
           "strace_filtered": "#f4a261", "floor": "#6c757d", "bpf": "#b08900", "perf": "#e76f51", "strace": "#c1121f"}


class Axis:
    """A logarithmic scale that covers the values, in whole decades."""

    def __init__(self, values):
        self.low = math.floor(math.log10(min(values)))
        self.high = max(self.low + 1, math.ceil(math.log10(max(values))))

    def x(self, value):
        share = (math.log10(max(value, 10.0 ** self.low)) - self.low) / (self.high - self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def ticks(self):
        return [10.0 ** power for power in range(self.low, self.high + 1)]


def plain(title):
    return escape(title.replace("`", ""))


def text(x, y, content, anchor="start", size=13):
    return '<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d">%s</text>' % (x, y, anchor, size, content)


def line(x1, y1, x2, y2, colour, width=1):
    return '<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%s"/>' % (x1, y1, x2, y2, colour, width)


def legend(names):
    parts, x = [], 20
    for name in names:
        title = plain(RIVALS[name].title)
        parts += ['<circle cx="%d" cy="44" r="5" fill="%s"/>' % (x, COLOURS[name]), text(x + 8, 48, title, size=11)]
        x += 22 + 6.2 * len(title)
    return parts


def dots(axis, y, values):
    """values: {rival: (low, median, high)}."""
    parts = []
    for name, (low, middle, high) in values.items():
        parts += [line(axis.x(low), y, axis.x(high), y, COLOURS[name], 2),
                  '<circle cx="%.1f" cy="%.1f" r="5" fill="%s"><title>%s: %s</title></circle>' % (
                      axis.x(middle), y, COLOURS[name], plain(RIVALS[name].title), report.short(middle))]
    return parts


def draw(title, unit, rows):
    """rows: {row's title: {rival: (low, median, high)}}, all positive."""
    axis = Axis([value for row in rows.values() for triple in row.values() for value in triple])
    names = [name for name in COLOURS if any(name in row for row in rows.values())]
    height = TOP + ROW * len(rows) + BOTTOM
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif">' % (WIDTH, height),
             '<rect width="100%" height="100%" fill="white"/>', text(20, 22, escape(title), size=16), *legend(names)]
    for tick in axis.ticks():
        parts += [line(axis.x(tick), TOP, axis.x(tick), height - BOTTOM, "#dddddd"),
                  text(axis.x(tick), height - BOTTOM + 18, "{:,g} {}".format(tick, unit), "middle")]
    for number, (name, values) in enumerate(rows.items()):
        y = TOP + ROW * (number + 0.5)
        parts += [text(LEFT - 12, y + 4, plain(name), "end"), *dots(axis, y, values)]
    return "\n".join([*parts, "</svg>", ""])


def ratio_rows(results):
    rows = {}
    for workload, cells in results["workloads"].items():
        values = {}
        for name, cell in cells.items():
            if name in COLOURS and cell["runs"] and report.ratio(results, workload, name):
                low, high = report.spread(results, workload, name)
                values[name] = (low, report.ratio(results, workload, name), high)
        if values:
            rows[WORKLOADS[workload].title] = values
    return rows


def added(results, workload, name):
    """Nanoseconds a system call costs more than native: (low, median, high), or None where that is not above a nanosecond."""
    cells = results["workloads"][workload]
    native, calls = report.median(cells.get("native")), report.events(workload, cells[name])[0]
    if not native or not calls:
        return None
    per_unit = 1 if WORKLOADS[workload].printed else calls / cells[name]["count"]
    triple = [(cost - native) * 1e9 / per_unit for cost in
              (min(report.costs(cells[name])), report.median(cells[name]), max(report.costs(cells[name])))]
    return tuple(max(value, 1) for value in triple) if triple[1] > 1 else None


def added_rows(results):
    """Only commands: a server's calls are not those of the requests alone. Only rivals that report every call: they are the divisor."""
    rows = {}
    for workload, cells in results["workloads"].items():
        names = [name for name in cells if name in COLOURS and RIVALS[name].full and cells[name]["runs"]]
        values = {name: added(results, workload, name) for name in names if not WORKLOADS[workload].server}
        values = {name: triple for name, triple in values.items() if triple}
        if values:
            rows[WORKLOADS[workload].title] = values
    return rows


def plots(results):
    """{file name: SVG}"""
    drawings = {}
    for name, title, unit, rows in (
            ("workloads.svg", "Time, as a ratio to native (servers: requests per second, native's ratio to it)", "×", ratio_rows(results)),
            ("calls.svg", "What a system call costs more than native, start of the tracer included", "ns", added_rows(results))):
        if rows:
            drawings[name] = draw(title, unit, rows)
    return drawings
