#!/usr/bin/python3
"""Includes go one way: everything may include wire; agent, keeper and front never each other; formatters know
wire and the generated tables only. The compiler's include path is not trusted: names are looked up here."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
GENERATED = {"sets.h", "structs.h", "wrappers.h", "agent_symbols.h"}
# part -> the parts it may include
MAY = {
    "tracer/wire": {"tracer/wire"},
    "tracer/agent": {"tracer/agent", "tracer/wire", "generated"},
    "tracer/keeper": {"tracer/keeper", "tracer/wire", "loader-patch", "sites", "generated"},
    "tracer/front": {"tracer/front", "tracer/wire", "formatters", "loader-patch", "generated"},
    "loader-patch": {"loader-patch", "tracer/wire"},
    "sites": {"sites", "tracer/wire"},
    "formatters": {"formatters", "tracer/wire", "generated"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def part_of(path):
    for part in MAY:
        if path.is_relative_to(ROOT / part):
            return part
    return None


def resolve(source, name):
    """The part a quoted include names: relative to the file first, then by any part's folder, then generated."""
    for base in [source.parent] + [ROOT / part for part in MAY] + [ROOT / "tracer", ROOT]:
        found = (base / name).resolve()
        if found.is_file():
            return part_of(found)
    return "generated" if name in GENERATED else None


def main():
    bad = []
    for part, allowed in MAY.items():
        for source in sorted((ROOT / part).rglob("*.[chS]")):
            for number, line in enumerate(source.read_text().splitlines(), 1):
                match = INCLUDE.match(line)
                if match and resolve(source, match[1]) not in allowed:
                    bad.append("%s:%d: %s may not include \"%s\""
                               % (source.relative_to(ROOT), number, part, match[1]))
    print("\n".join(bad))
    sys.exit(1 if bad else 0)


main()
