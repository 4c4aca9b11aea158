#!/usr/bin/python3
"""Writes vtrace's tables as C: syscalls.c, sets.[ch], structs.[ch], capture.c, and coverage.txt for people.

	gen_tables.py --out DIR [--cc CC] [--kernel-headers DIR] [--annotations FILE] [--sets FILE]

Numbers come from <asm/unistd_64.h>, prototypes from the kernel's syscalls.h, constants from the
headers gen/sets names; what an argument means comes from gen/annotations. Same inputs, same bytes.
"""
import argparse
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import tables_capture       # noqa: E402
import tables_emit          # noqa: E402
import tables_headers       # noqa: E402
import tables_sets          # noqa: E402
import tables_structs       # noqa: E402
from tables_commands import Commands  # noqa: E402
from tables_model import STRUCTS, Annotations, AnnotationError, Arg, Syscall  # noqa: E402

# C type by value -> kind of an argument nobody annotated.
DEFAULT_KINDS = {
    "pointer": "ADDR", "int": "INT", "unsigned int": "UINT", "long": "LONG", "long long": "LONG",
    "unsigned long": "HEX", "unsigned long long": "HEX", "unsigned short": "UINT", "short": "INT",
    "unsigned char": "UINT",
}


def default_kind(ctype, canonical):
    if ctype in ("size_t", "const size_t"):
        return "ULONG"
    return DEFAULT_KINDS.get(canonical, "INT" if canonical.startswith("enum ") else "HEX")


def newer_syscalls(path):
    rows = {}
    with open(path, encoding="utf-8") as text:
        for line in text:
            words = line.split("#", 1)[0].split()
            if words:
                rows[words[1]] = int(words[0])
    return rows


def build_syscalls(numbers, functions, annotations):
    """name -> Syscall with default kinds."""
    syscalls = {}
    for name, number in sorted(numbers.items(), key=lambda item: item[1]):
        source, line = annotations.use.get(name, ("sys_" + name, 0))
        if source not in functions:
            if line:
                annotations.fail(line, "no prototype of `%s`" % source)
            raise AnnotationError("annotations", 1, "no prototype of `sys_%s`: add a `prototype` line" % name)
        args = [Arg(arg, ctype, default_kind(ctype, full)) for arg, ctype, full in functions[source]]
        for arg, (_, _, full) in zip(args, functions[source]):
            arg.narrow = full in ("int", "unsigned int")
        syscalls[name] = Syscall(name, number, args)
    for name, (_, line) in annotations.use.items():
        if name not in syscalls:
            annotations.fail(line, "unknown syscall `%s`" % name)
    return syscalls


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
        out.write(text)


def read(options):
    """(rows in number order, sets, i386 numbers), checked and evaluated."""
    annotations = Annotations(options.annotations, os.path.basename(options.annotations))
    sets = tables_sets.parse(options.sets, os.path.basename(options.sets))
    numbers = tables_headers.syscall_numbers("asm/unistd_64.h", options.cc)
    for name, number in newer_syscalls(os.path.join(HERE, "newer_syscalls")).items():
        numbers.setdefault(name, number)
    headers = options.kernel_headers or tables_headers.find_kernel_headers()
    functions = tables_headers.prototypes(headers, annotations.prototypes, annotations.file)
    syscalls = build_syscalls(numbers, functions, annotations)
    structs, sizes = read_structs(options, sets)
    annotations.apply(syscalls, sets, sizes)
    tables_sets.evaluate(sets, os.path.basename(options.sets), options.cc)
    if options.commands:
        Commands(options.commands).apply(syscalls, sets, sizes)
    i386 = tables_headers.syscall_numbers("asm/unistd_32.h", options.cc)
    return sorted(syscalls.values(), key=lambda row: row.number), sets, i386, structs


def read_structs(options, sets):
    """(gen/structs, the size of each struct that annotations may name)"""
    path = os.path.join(HERE, "structs")
    structs = tables_structs.parse(path, "structs")
    tables_structs.measure(structs, "structs", options.cc)
    sizes = tables_headers.struct_sizes(STRUCTS, options.cc)
    sizes.update((item.name, item.size) for item in structs.values())
    tables_structs.check(structs, sets, sizes, "structs")
    return structs, sizes


def generate(options):
    rows, sets, i386, structs = read(options)
    os.makedirs(options.out, exist_ok=True)
    write(options.out, "syscalls.c", tables_emit.syscalls_c(rows, i386))
    write(options.out, "structs.h", tables_emit.structs_h(structs))
    write(options.out, "structs.c", tables_emit.structs_c(structs))
    write(options.out, "sets.h", tables_emit.sets_h(sets))
    write(options.out, "sets.c", tables_emit.sets_c(sets))
    write(options.out, "capture.c", tables_capture.capture_c(rows))
    write(options.out, "coverage.txt", tables_emit.coverage(rows))


def main():
    parser = argparse.ArgumentParser(description="write vtrace's generated tables")
    parser.add_argument("--out", required=True)
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--kernel-headers", help="default: the newest /usr/src/linux-headers-*-common")
    parser.add_argument("--annotations", default=os.path.join(HERE, "annotations"))
    parser.add_argument("--sets", default=os.path.join(HERE, "sets"))
    parser.add_argument("--commands", default=os.path.join(HERE, "commands"), help="may be empty: none")
    try:
        generate(parser.parse_args())
    except (AnnotationError, tables_headers.HeaderError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
