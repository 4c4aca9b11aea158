#!/usr/bin/python3
"""The plan of real objects, against objdump: every `syscall` it shows is in the plan once, with a rewriting that fits the
instructions and branches it shows, or with a reason; and of the libcs, as many are rewritten as were counted once."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

DUMP = sys.argv[1]
BRANCH_LETTERS = set("bnlrdcjx")
BRANCH = re.compile(r"^(?:bnd |notrack |lock |rep\S* |data16 |cs |ds )*(?:j\w+|call\w*|loop\w*|xbegin)\s+([0-9a-f]+)\b")
SITE = re.compile(r"^site (\S+) (\S+) nr=(-?\d+) patch=(\S+) length=(\d+) before=(\d+) after=(\d+) resume=(\S+) "
                  r"bypass=(\d) verify=(\d+) bytes=(\S+) # (.*)$")
# path, floor for the rewritten ones in percent; None: no figure, only consistency
LIBRARIES = [
    ("/lib/x86_64-linux-gnu/libc.so.6", 97), ("/lib64/ld-linux-x86-64.so.2", 95), ("/lib/x86_64-linux-musl/libc.so", 97),
    ("/usr/lib/x86_64-linux-gnu/libseccomp.so.2", None), ("/usr/lib/x86_64-linux-gnu/libgomp.so.1", 80),
]
PROGRAM = "#include <stdio.h>\n#include <unistd.h>\nint main(void) { return printf(\"%d\\n\", getpid()) < 0; }\n"
BUILDS = [
    ("static, stripped", ["gcc", "-O2", "-static", "-s"], 95), ("musl", ["musl-gcc", "-O2", "-static"], 95),
    ("musl, stripped", ["musl-gcc", "-O2", "-static", "-s"], 80),
]


def output(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def base_of(path):
    loads = [int(line.split()[2], 16) for line in output("readelf", "-lW", path).splitlines() if line.split()[:1] == ["LOAD"]]
    return min(loads) & ~4095


def disassemble(path):
    """Offset -> (bytes in hex, text), and the targets of direct branches."""
    base, code, targets = base_of(path), {}, set()
    for line in output("objdump", "-d", "-w", path).splitlines():
        parts = line.split("\t")
        if len(parts) < 2 or not parts[0].endswith(":"):
            continue
        at, text = int(parts[0][:-1], 16) - base, parts[2].strip() if len(parts) > 2 else ""
        code[at] = (parts[1], text)
        branch = BRANCH.match(text) if text[:1] in BRANCH_LETTERS else None
        if branch:
            targets.add(int(branch[1], 16) - base)
    return code, targets


def check_site(site, code, targets):
    """Yields what is wrong with one line of the plan."""
    offset, form, patch, length = int(site[1], 16), site[2], int(site[4], 16), int(site[5])
    before, after, verify = int(site[6]), int(site[7]), int(site[10])
    if form == "left":
        if site[12] == "rewritten":
            yield "left without a reason"
        return
    end = patch + length
    if length < 5 or verify > 32 or patch > offset or before != offset - patch:
        yield "impossible figures"
    at, seen = patch, b""
    boundaries = set()
    while at < patch + verify:
        if at not in code:
            yield "not at instruction boundaries"
            return
        boundaries.add(at)
        seen += bytes.fromhex(code[at][0])
        at += len(bytes.fromhex(code[at][0]))
    if seen != bytes.fromhex(site[11]):
        yield "other bytes"
    if end not in boundaries | {at} or offset not in boundaries:
        yield "cuts an instruction"
    if form == "mov" and end > offset:
        yield "replaces the syscall"
    if form == "after" and (patch != offset or end < offset + 2 + after):
        yield "does not fit"
    inside = [hex(t) for t in targets if patch < t < end]
    if inside:
        yield "branch into it: %s" % inside
    if site[9] == "0" and [t for t in targets if patch < t <= offset]:
        yield "bypassed, and does not say so"
    for at in boundaries - {offset}:
        text = code[at][1]
        if at < offset + 2 + after and ("(%rip)" in text or BRANCH.match(text) or re.match(r"(call|jmp|syscall|int)", text)):
            yield "moves " + text


def check(name, path, floor):
    code, targets = disassemble(path)
    shown = {at for at, (_, text) in code.items() if text == "syscall"}
    lines = output(DUMP, path).splitlines()
    sites = [SITE.match(line) for line in lines[:-1]]
    bad = ["unreadable line"] if None in sites else []
    offsets = [int(site[1], 16) for site in sites]
    bad += ["twice: %x" % at for at in set(offsets) if offsets.count(at) > 1]
    bad += ["missing: %x" % at for at in shown - set(offsets)]
    bad += ["no syscall for objdump: %x" % int(s[1], 16) for s in sites if int(s[1], 16) not in shown and s[2] != "left"]
    for site in sites:
        bad += ["%s: %s" % (site[1], what) for what in check_site(site, code, targets)]
    taken = sorted((int(s[4], 16), int(s[4], 16) + int(s[5])) for s in sites if s[2] != "left")
    bad += ["overlap at %x" % b[0] for a, b in zip(taken, taken[1:]) if b[0] < a[1]]
    forms = [site[2] for site in sites]
    rewritten = len(forms) - forms.count("left")
    print("%s: %d syscall instructions, %d rewritten (%d mov, %d after, %d of them bypassed), %d left | %s"
          % (name, len(shown), rewritten, forms.count("mov"), forms.count("after"),
             sum(site[9] == "1" for site in sites), forms.count("left"), lines[-1].split(None, 2)[2]))
    for site in sites:
        if site[2] == "left":
            print("    left %s nr=%s: %s" % (site[1], site[3], site[12]))
    if floor is not None and rewritten * 100 < floor * len(shown):
        bad.append("fewer than %d %% rewritten" % floor)
    for what in bad[:20]:
        print("  BAD " + what)
    return not bad


def main():
    good = True
    for path, floor in LIBRARIES:
        if os.path.exists(path):
            good &= check(path, path, floor)
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "program.c")
        with open(source, "w") as out:
            out.write(PROGRAM)
        for name, compiler, floor in BUILDS:
            program = os.path.join(folder, "program")
            if shutil.which(compiler[0]):
                subprocess.run(compiler + [source, "-o", program], check=True)
                good &= check(name, program, floor)
    sys.exit(0 if good else 1)


main()
