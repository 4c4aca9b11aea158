"""The kernel's own record of a process tree's syscalls: its raw_syscalls tracepoints, in a private tracing instance.

The events come as binary pages (trace_pipe_raw); the layouts are read from tracefs, never assumed. The instance's clock is
`counter`, so the order of all events is known across CPUs. Only root can do this."""
import collections
import ctypes
import errno
import os
import re
import struct

TRACEFS = "/sys/kernel/tracing"
NEEDED = ("raw_syscalls/sys_enter", "raw_syscalls/sys_exit", "sched/sched_process_exec", "sched/sched_process_exit")
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000
PAGE = 4096
NOBODY = "4194303"  # the kernel's PID_MAX_LIMIT: an empty list would record everybody


class Unavailable(Exception):
    """The kernel's tracepoints cannot be used here, and why."""


Enter = collections.namedtuple("Enter", "order tid nr args")
Exit = collections.namedtuple("Exit", "order tid nr result")
Exec = collections.namedtuple("Exec", "order tid former")
Death = collections.namedtuple("Death", "order tid")


def mount_privately():
    """tracefs in a mount namespace of this process and its children alone, unless it is mounted already."""
    if os.path.isdir(os.path.join(TRACEFS, "instances")):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    steps = (lambda: libc.unshare(CLONE_NEWNS),
             lambda: libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None),
             lambda: libc.mount(b"none", TRACEFS.encode(), b"tracefs", 0, None))
    for step in steps:
        if step() != 0:
            raise Unavailable("tracefs cannot be mounted at %s: %s" % (TRACEFS, os.strerror(ctypes.get_errno())))


def remove_stale(directory):
    """Instances of runs that were killed."""
    for name in os.listdir(directory):
        match = re.fullmatch(r"vtrace-(\d+)", name)
        if match and not os.path.exists("/proc/" + match[1]):
            try:
                os.rmdir(os.path.join(directory, name))
            except OSError:
                pass  # another run was faster


class Tracing:
    def __init__(self, kib_per_cpu):
        if os.geteuid() != 0:
            raise Unavailable("the kernel's tracepoints are root's")
        mount_privately()
        instances = os.path.join(TRACEFS, "instances")
        try:
            remove_stale(instances)
            self.directory = os.path.join(instances, "vtrace-%d" % os.getpid())
            os.mkdir(self.directory)
            self.layouts = {self.event_id(name): (name, self.layout(name)) for name in NEEDED}
        except OSError as error:
            raise Unavailable("no tracing instance: %s" % error) from error
        self.set("trace_clock", "counter")
        self.set("buffer_size_kb", str(kib_per_cpu))
        self.set("options/overwrite", "0")
        self.set("options/event-fork", "1")
        self.set("set_event_pid", NOBODY)
        for name in NEEDED:
            self.set("events/%s/enable" % name, "1")

    def path(self, name):
        return os.path.join(self.directory, name)

    def get(self, name):
        with open(self.path(name), encoding="ascii") as file:
            return file.read()

    def set(self, name, value):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(value)

    def close(self):
        self.set("tracing_on", "0")
        os.rmdir(self.directory)

    # ---- layouts ----

    def event_id(self, name):
        return int(self.get("events/%s/id" % name))

    def layout(self, name):
        """field -> (offset, size)"""
        rows = re.findall(r"field:[^;]*?(\w+)(?:\[\d+\])?;\s*offset:(\d+);\s*size:(\d+);", self.get("events/%s/format" % name))
        return {field: (int(offset), int(size)) for field, offset, size in rows}

    # ---- reading ----

    def lost(self):
        """Events that did not fit."""
        total = 0
        for cpu in os.listdir(self.path("per_cpu")):
            for line in self.get("per_cpu/%s/stats" % cpu).splitlines():
                key, _, value = line.partition(":")
                if key in ("overrun", "commit overrun", "dropped events"):
                    total += int(value)
        return total

    def events(self):
        """All events, in order."""
        self.set("tracing_on", "0")
        found = []
        for cpu in os.listdir(self.path("per_cpu")):
            for page in self.pages(cpu):
                found.extend(filter(None, (self.decode(order, data) for order, data in records(page))))
        found.sort(key=lambda event: event.order)
        return found

    def pages(self, cpu):
        fd = os.open(self.path("per_cpu/%s/trace_pipe_raw" % cpu), os.O_RDONLY | os.O_NONBLOCK)
        try:
            while True:
                page = os.read(fd, PAGE)
                if not page:
                    return
                yield page
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
        finally:
            os.close(fd)

    def decode(self, order, data):
        def number(field, kind="q"):
            offset, _ = layout[field]
            return struct.unpack_from("<" + kind, data, offset)[0]

        name, layout = self.layouts.get(struct.unpack_from("<H", data)[0], (None, None))
        if name is None:
            return None
        tid = number("common_pid", "i")
        if name == NEEDED[0]:
            return Enter(order, tid, number("id"), struct.unpack_from("<6Q", data, layout["args"][0]))
        if name == NEEDED[1]:
            return Exit(order, tid, number("id"), number("ret"))
        if name == NEEDED[2]:
            return Exec(order, tid, number("old_pid", "i"))
        return Death(order, tid)


def records(page):
    """(time, payload) of each event of a page of the ring buffer; see Documentation/trace/ring-buffer-design and the
    instance's events/header_page and header_event."""
    time, commit = struct.unpack_from("<QQ", page)
    at, end = 16, 16 + (commit & 0xfffff)
    if commit & 1 << 31:
        raise RuntimeError("the kernel's buffer lost events")
    while at < end:
        head, = struct.unpack_from("<I", page, at)
        kind, delta = head & 31, head >> 5
        at += 4
        if kind == 29:  # padding
            if not delta:
                return
            at += struct.unpack_from("<I", page, at)[0]
        elif kind == 30:  # the time's upper bits
            time += delta + (struct.unpack_from("<I", page, at)[0] << 27)
            at += 4
        elif kind == 31:  # the whole time
            time = delta + (struct.unpack_from("<I", page, at)[0] << 27)
            at += 4
        else:
            size = kind * 4 if kind else struct.unpack_from("<I", page, at)[0]
            time += delta
            yield time, page[at:at + size] if kind else page[at + 4:at + size]
            at += size
