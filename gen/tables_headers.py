"""Facts out of C headers. The compiler does all the parsing: cc -E for macro names, libclang for
prototypes, a compiled probe for values and sizes."""
import glob
import os
import re
import subprocess
import tempfile

import clang.cindex as clang

# Kernel-only types the prototypes mention; enough for the compiler to tell signedness and size.
STUB_TYPES = """
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
typedef int s32; typedef long long s64;
typedef unsigned char __u8; typedef unsigned short __u16; typedef unsigned int __u32; typedef unsigned long long __u64;
typedef int __s32; typedef long long __s64;
typedef unsigned long size_t; typedef long ssize_t; typedef long off_t; typedef long long loff_t;
typedef int pid_t; typedef unsigned uid_t; typedef unsigned gid_t; typedef unsigned short umode_t;
typedef unsigned qid_t; typedef int clockid_t; typedef int timer_t; typedef int key_t; typedef int mqd_t;
typedef int key_serial_t; typedef int rwf_t; typedef unsigned long aio_context_t;
typedef unsigned short old_uid_t; typedef unsigned short old_gid_t; typedef long __kernel_old_time_t;
typedef int old_time32_t; typedef int old_timeval32_t; typedef unsigned old_sigset_t; typedef void (*__sighandler_t)(int);
typedef struct { unsigned long sig[1]; } sigset_t; typedef struct siginfo siginfo_t; typedef struct sigaltstack stack_t;
typedef struct __user_cap_header_struct *cap_user_header_t; typedef struct __user_cap_data_struct *cap_user_data_t;
typedef unsigned long cap_user_data; typedef unsigned int __poll_t; typedef long time_t;
typedef _Bool bool; typedef unsigned uint32_t; typedef struct { unsigned long bits[16]; } fd_set;
"""


class HeaderError(Exception):
    pass


def run(command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HeaderError("%s: %s" % (" ".join(command[:4]), done.stderr[:2000]))
    return done.stdout


def syscall_numbers(header, cc):
    """Macro names from the compiler's own list, their values from a probe."""
    listing = run([cc, "-E", "-dM", "-"], "#include <%s>\n" % header)
    names = [line.split()[1] for line in listing.splitlines() if line.startswith("#define __NR_")]
    names = [name for name in names if not re.search(r"__NR_syscalls|syscall_max", name)]
    values = probe_values([header], names, cc)
    return {name[len("__NR_"):]: value for name, value in values.items()}


def macro_names(headers, cc):
    """Object-like macros after `headers`, in the order they are defined."""
    text = "".join("#include <%s>\n" % header for header in headers)
    listing = run([cc, "-D_GNU_SOURCE", "-E", "-dD", "-"], text)
    names = {}
    for line in listing.splitlines():
        if line.startswith("#define "):
            name = line.split(None, 2)[1]
            if "(" not in name and len(line.split(None, 2)) == 3:
                names[name] = True
    return list(names)


def probe(source, cc):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "probe")
        run([cc, "-w", "-D_GNU_SOURCE", "-O0", "-x", "c", "-o", path, "-"], source)
        return run([path])


def probe_values(headers, names, cc):
    rows = "".join('\tprintf("%%llx %s\\n", (unsigned long long)(%s));\n' % (name, name) for name in names)
    text = "".join("#include <%s>\n" % header for header in headers) + \
        "int printf(const char *, ...);\nint main(void)\n{\n%s\treturn 0;\n}\n" % rows
    return {name: int(value, 16) for value, name in
            (line.split() for line in probe(text, cc).splitlines())}


SIZE_HEADERS = """
#include <asm/stat.h>
#include <linux/stat.h>
#include <asm/statfs.h>
#include <linux/time.h>
#include <linux/time_types.h>
#include <linux/resource.h>
#include <linux/signal.h>
#include <linux/utsname.h>
#include <linux/sysinfo.h>
#include <linux/poll.h>
#include <linux/eventpoll.h>
#include <linux/sched.h>
#include <linux/futex.h>
#include <linux/rseq.h>
#include <linux/openat2.h>
#include <linux/capability.h>
#include <linux/utime.h>
#include <linux/fcntl.h>
#include <asm/termios.h>
/* Layouts the kernel keeps to itself. */
struct vtrace_sigaction { void *handler; unsigned long flags; void *restorer; unsigned long mask; };
struct vtrace_tms { __kernel_clock_t user, system, child_user, child_system; };
struct vtrace_sched_param { int sched_priority; };
"""


def struct_sizes(structs, cc):
    """word -> sizeof, by the compiler."""
    rows = "".join('\tprintf("%s %%zu\\n", sizeof(%s));\n' % item for item in structs.items() if item[1])
    text = SIZE_HEADERS + "int printf(const char *, ...);\nint main(void)\n{\n%s\treturn 0;\n}\n" % rows
    sizes = {word: int(size) for word, size in (line.split() for line in probe(text, cc).splitlines())}
    return {word: sizes.get(word, 1) for word in structs}   # None: a stream of bytes


def prototypes(kernel_headers, extra, shown="annotations"):
    """function name -> [(argument name, type as written, canonical type)], from the kernel's
    syscalls.h followed by the `extra` declarations."""
    with open(os.path.join(kernel_headers, "include/linux/syscalls.h"), encoding="utf-8") as text:
        source = text.read()
    with tempfile.TemporaryDirectory() as folder:
        for header in ("types aio_abi capability signal list bug sem unistd quota key personality").split():
            stub(folder, "linux/%s.h" % header)
        stub(folder, "asm/siginfo.h")
        stub(folder, "trace/syscall.h")
        stub(folder, "linux/syscalls.h", source)
        declarations = "".join('#line %d "%s"\n%s\n' % (line, shown, text) for line, text in extra)
        main = stub(folder, "main.c", STUB_TYPES + "#include <linux/syscalls.h>\n" + declarations)
        unit = clang.Index.create().parse(main, args=[
            "-x", "c", "-std=gnu11", "-nostdinc", "-I", folder, "-Dasmlinkage=", "-D__user=",
            "-DBITS_PER_LONG=64", "-D__ARCH_WANT_SYS_UTIME", "-D__ARCH_WANT_SYS_OLD_GETRLIMIT"],
            options=clang.TranslationUnit.PARSE_SKIP_FUNCTION_BODIES)
        problems = [item for item in unit.diagnostics if item.severity >= 3]
        if problems:
            raise HeaderError("prototypes: " + "; ".join(
                "%s:%d: %s" % (os.path.basename(str(item.location.file)), item.location.line, item.spelling)
                for item in problems[:15]))
        return {cursor.spelling: [(arg.spelling, arg.type.spelling, canonical(arg.type))
                                  for arg in cursor.get_arguments()]
                for cursor in unit.cursor.get_children() if cursor.kind == clang.CursorKind.FUNCTION_DECL}


def canonical(ctype):
    """What the default kind depends on: `pointer`, or (signed, size), and the written name."""
    full = ctype.get_canonical()
    if full.kind in (clang.TypeKind.POINTER, clang.TypeKind.INCOMPLETEARRAY):
        return "pointer"
    return full.spelling


def stub(folder, path, text=""):
    path = os.path.join(folder, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    return path


def find_kernel_headers():
    found = sorted(glob.glob("/usr/src/linux-headers-*-common"))
    if not found:
        raise HeaderError("no /usr/src/linux-headers-*-common: install linux-headers-amd64")
    return found[-1]
