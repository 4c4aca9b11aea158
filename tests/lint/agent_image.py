#!/usr/bin/python3
"""The agent needs nothing: no undefined symbols, no relocations, no sections but text and bss, no vector registers."""
import re
import subprocess
import sys


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def complaints(elf):
    for line in output("nm", "--undefined-only", elf).splitlines():
        yield "undefined symbol:" + line
    if "no relocations" not in output("readelf", "--relocs", elf):
        yield "there are relocations"
    for line in output("readelf", "--wide", "--sections", elf).splitlines():
        row = re.match(r"\s*\[ *\d+\] (\S+)\s+\S+\s+\S+ \S+ (\S+) \S+\s+(\S*A\S*)\s", line)
        if row and row[1] not in (".text", ".bss") and int(row[2], 16):
            yield "unexpected section in memory: " + row[1]
    for line in output("objdump", "-d", "--no-show-raw-insn", elf).splitlines():
        if re.search(r"%[xyz]mm\d", line):
            yield "vector register: " + line.strip()


bad = list(complaints(sys.argv[1]))
print("\n".join(bad[:20]))
sys.exit(1 if bad else 0)
