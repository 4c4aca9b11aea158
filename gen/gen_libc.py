#!/usr/bin/python3
"""Finds every libc function that makes system calls, by libc's code, and writes what the loader patch needs:
libc_functions.c, wrappers.c, wrappers.h, vloader.conf and libc_report.txt. See README.md beside this file."""
import argparse
import collections
import os
import sys

from libc_code import CodeError, Finder, Library
from libc_headers import HeaderError, read_prototypes
import tables_headers

DIRECT = {"syscall", "vdso", "syscall and vdso"}
DEFAULT_LIBC = "/lib/x86_64-linux-gnu/libc.so.6"

# How the kernel names a vDSO function after the system call it stands for.
VDSO_PREFIX = "__vdso_"

# The header that says which functions are the allocator.
ALLOCATOR_HEADER = "malloc.h"

Found = collections.namedtuple("Found", "name how kinds addresses prototype note")
Found.__doc__ = """kinds: the set of Finder.how's kinds; addresses: (address, kind) of each code the name stands for."""

LeftOut = collections.namedtuple("LeftOut", "name how kinds addresses reason")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, metavar="DIR", help="where the generated files go; made if missing")
    parser.add_argument("--libc", default=DEFAULT_LIBC, metavar="PATH", help="default: %(default)s")
    parser.add_argument("--cc", default="cc")
    options = parser.parse_args()
    try:
        library = Library(options.libc)
        found, left_out = find_functions(library, read_prototypes())
        vdso = find_vdso(library, tables_headers.syscall_numbers("asm/unistd_64.h", options.cc))
        soname = library.soname or os.path.basename(options.libc)
        os.makedirs(options.out, exist_ok=True)
        for name, text in (("libc_functions.c", functions_text(found, soname)),
                           ("wrappers.h", wrappers_header_text(found, vdso, soname)),
                           ("wrappers.c", wrappers_text(found, vdso, soname)),
                           ("vloader.conf", redirects_text(found, soname)),
                           ("libc_report.txt", report_text(found, left_out, vdso, library, soname))):
            write_if_changed(os.path.join(options.out, name), text)
    except (CodeError, HeaderError, tables_headers.HeaderError) as error:
        sys.exit("gen_libc: %s" % error)
    except OSError as error:
        sys.exit("gen_libc: %s: %s" % (error.filename, error.strerror))


def find_functions(library, prototypes):
    """(list of Found, sorted by name as strcmp does; list of LeftOut, not to be redirected)."""
    finder = Finder(library)
    by_name, names_at = collections.defaultdict(list), collections.defaultdict(list)
    for export in library.exports:
        names_at[export.address].append(export.name)
        how = finder.how_ifunc(export.address) if export.ifunc else finder.how(export.address)
        if how:
            by_name[export.name].append((export, how))
    allocator = {e.address for e in library.exports
                 if e.name in prototypes and prototypes[e.name].header == ALLOCATOR_HEADER}
    found, left_out = [], []
    for name in sorted(by_name):
        exports = [export for export, _ in by_name[name]]
        text = "; ".join(sorted({describe(how, names_at) for _, how in by_name[name]}))
        if all(export.is_private() for export in exports):
            reason = "GLIBC_PRIVATE: for the loader and glibc's other libraries, which expect libc's own code"
        elif any(export.address in allocator for export in exports):
            reason = "the allocator: the loader itself calls it, and it is no system call function"
        else:
            reason = None
        addresses = {(export.address, how[0]) for export, how in by_name[name]}
        kinds = {kind for _, kind in addresses}
        if reason:
            left_out.append(LeftOut(name, text, kinds, {code for code, _ in addresses}, reason))
        else:
            prototype, note = find_prototype(name, exports, names_at, prototypes)
            found.append(Found(name, text, kinds, addresses, prototype, note))
    return found, left_out


def find_vdso(library, numbers):
    """[(symbol, syscall number)]: what libc and its loader look up in the vDSO, and a system call there is for it."""
    names = library.strings_used(VDSO_PREFIX)
    if library.interpreter and os.path.exists(library.interpreter):
        names = names | Library(library.interpreter).strings_used(VDSO_PREFIX)
    return [(name, numbers[name[len(VDSO_PREFIX):]]) for name in sorted(names) if name[len(VDSO_PREFIX):] in numbers]


def describe(how, names_at):
    kind, targets = how
    if kind == "forwards":
        return "forwards to " + ", ".join(shortest(names_at[t]) if names_at[t] else "internal code" for t in targets)
    if kind == "ifunc":
        return "IFUNC whose choices hold a syscall instruction or call the vDSO"
    return {"syscall": "syscall instruction", "vdso": "vdso", "syscall and vdso": "syscall instruction, vdso",
            "process": "calls on to clone, fork, vfork or exec"}[kind]


def shortest(names):
    return min(names, key=lambda name: (name.startswith("_"), len(name), name))


def find_prototype(name, exports, names_at, prototypes):
    """(Prototype or None, why: of which alias it is, or the reason it is not known)."""
    if name in prototypes:
        return prototypes[name], ""
    for export in exports:
        for alias in sorted(names_at[export.address], key=lambda other: (other.startswith("_"), len(other), other)):
            if alias in prototypes:
                return prototypes[alias], "the same code as %s" % alias
    if not any(export.is_default() for export in exports):
        return None, "no header declares it: kept for old programs only"
    return None, "no public header declares it"


def head(soname, comment="/* %s */\n"):
    return comment % ("Generated by gen/ from the code of %s and libc's headers. Do not edit." % soname)


def functions_text(found, soname):
    rows = "".join('\t"%s",\n' % f.name for f in found) or "\t0,\n"
    return (head(soname) + '#include "tables.h"\n\nconst char *const libc_functions[] = {\n' + rows +
            "};\n\nconst uint32_t libc_functions_count = %d;\n" % len(found))


def wrappers_header_text(found, vdso, soname):
    return (head(soname) + "#ifndef VTRACE_GEN_WRAPPERS_H\n#define VTRACE_GEN_WRAPPERS_H\n\n"
            "#define WRAPPER_COUNT %d\n#define VDSO_COUNT %d\n\n#endif\n" % (len(found), len(vdso)))


def wrappers_text(found, vdso, soname):
    lines = [head(soname), '#include <stdint.h>\n#include "wrapper.h"\n#include "wrappers.h"\n\n']
    for index, function in enumerate(found):
        lines.append("/* %s */\nWRAPPER(%d, %s)\n\n" % (comment_text(function), index, function.name))
    lines.append("/* No pointers: the agent is not relocated. Sorted as strcmp does; name i belongs to wrapper i. */\n")
    lines.append(names_text("redirect", [function.name for function in found]))
    lines.append("const unsigned redirect_count = WRAPPER_COUNT;\n\n")
    lines.append("/* What the vDSO is asked for, the same way, and the numbers of the system calls. */\n")
    lines.extend("VDSO_WRAPPER(%d, %s)\n" % (index, name) for index, (name, _) in enumerate(vdso))
    lines.append("\n" + names_text("vdso", [name for name, _ in vdso]))
    lines.append("const int32_t vdso_numbers[] = {\n%s};\n" % ("".join("\t%d,\n" % number for _, number in vdso) or "\t0,\n"))
    return "".join(lines)


def names_text(label, names):
    offsets, offset = [], 0
    for name in names:
        offsets.append("\t%d,\n" % offset)
        offset += len(name) + 1
    return ("const char %s_names[] =\n%s;\n\nconst unsigned %s_offsets[] = {\n%s};\n\n" %
            (label, "\n".join('\t"%s\\0"' % name for name in names) or '\t""', label, "".join(offsets) or "\t0,\n"))


def comment_text(function):
    if function.prototype is None:
        return "prototype not known: " + function.note
    return function.prototype.text + ";" + (" -- " + function.note if function.note else "")


def redirects_text(found, soname):
    lines = [head(soname, "# %s\n"),
             "# real function -> virtual function, then dummy -> real: the virtual function calls real_NAME.\n"]
    for function in found:
        lines.append("%s -> virt_%s\nreal_%s -> %s\n" % ((function.name,) * 4))
    return "".join(lines)


def report_text(found, left_out, vdso, library, soname):
    several = [f for f in found if len(f.addresses) > 1]
    lines = [head(soname, "%s\n"), "\n"]
    for label, kinds in (("redirected", None), ("  syscall instruction or vDSO call", DIRECT), ("  IFUNC", {"ifunc"}),
                         ("  forwarding to such", {"forwards"}), ("  leading to a new process", {"process"})):
        rows = [f for f in found if kinds is None or f.kinds & kinds]
        codes = {code for f in rows for code, kind in f.addresses if kinds is None or kind in kinds}
        lines.append(count_line(label, len(codes), len(rows)))
    lines.append(count_line("left out", len({code for row in left_out for code in row.addresses}), len(left_out)))
    direct = {code for f in found for code, kind in f.addresses if kind in DIRECT}
    direct_left_out = [row for row in left_out if row.kinds & DIRECT]
    lines.append(count_line("direct, those left out included",
                            len(direct.union(*(row.addresses for row in direct_left_out))),
                            len([f for f in found if f.kinds & DIRECT]) + len(direct_left_out)))
    lines.append("prototype known for %d names, not for %d\n" % (len([f for f in found if f.prototype]),
                                                               len([f for f in found if not f.prototype])))
    lines.append("%s exports %d function symbols, %d names\n" % (soname, len(library.exports),
                                                            len({e.name for e in library.exports})))
    lines.append("%d syscall instructions are in exported functions, %d in internal code\n" % library.syscall_sites())
    lines.append("looked up in the vDSO: %s\n" % (", ".join(name for name, _ in vdso) or "nothing"))
    lines.append("\nLeft out\n")
    for reason in sorted({row.reason for row in left_out}):
        lines.append("  %s\n" % reason)
        lines.extend("    %-32s %s\n" % (row.name, row.how) for row in left_out if row.reason == reason)
    lines.append("\nMore than one code under one name (symbol versions): one wrapper, whichever version is bound\n")
    lines.extend("  %s\n" % f.name for f in several)
    lines.append("\nPrototype not known\n")
    lines.extend("  %-32s %s\n" % (f.name, f.note) for f in found if not f.prototype)
    lines.append("\nEvery function: how found, where its prototype is from\n")
    for f in found:
        origin = "<%s>%s" % (f.prototype.header, ", " + f.note if f.note else "") if f.prototype else "not known"
        lines.append("  %-32s %s; prototype %s\n" % (f.name, f.how, origin))
    return "".join(lines)


def count_line(label, functions, names):
    return "%-36s %4d functions under %4d names\n" % (label, functions, names)


def write_if_changed(path, text):
    try:
        with open(path, encoding="utf-8") as stream:
            if stream.read() == text:
                return
    except FileNotFoundError:
        pass
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)


if __name__ == "__main__":
    main()
