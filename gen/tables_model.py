"""What the table generator knows: syscall rows, and the reader of gen/annotations."""
import re

CLASSES = ("file process network signal ipc desc memory creds stat lstat fstat statfs fstatfs "
           "clock pure").split()
RETURNS = "int hex fd offset void uint pid mode fcntl poll select time signal ioprio left".split()
SET_RETURNS = "enum hexenum flags".split()     # a number, and in brackets what it means: enum(SET)
KINDS = {
    "int": "INT", "uint": "UINT", "long": "LONG", "ulong": "ULONG", "hex": "HEX", "addr": "ADDR",
    "offset": "OFFSET", "fd": "FD", "dirfd": "DIRFD", "path": "PATH", "string": "STRING",
    "buffer": "BUFFER", "flags": "FLAGS", "enum": "ENUM", "mode": "MODE", "modet": "MODET",
    "signal": "SIGNAL", "pid": "PID", "uid": "UID", "dev": "DEV", "struct": "STRUCT",
    "array": "ARRAY", "argv": "ARGV", "envp": "ENVP", "iovec": "IOVEC", "msghdr": "MSGHDR",
    "mmsghdr": "MMSGHDR", "sockaddr": "SOCKADDR", "sigset": "SIGSET", "fdset": "FDSET",
    "fdpair": "FD_PAIR", "intptr": "INT_PTR", "uintptr": "UINT_PTR", "longptr": "LONG_PTR",
    "wstatus": "WSTATUS", "socklen": "SOCKLEN_PTR", "ioctlcmd": "IOCTL_CMD",
    "ipckey": "IPC_KEY", "ipcflags": "IPC_FLAGS", "command": "BY_COMMAND", "word": "BY_COMMAND", "none": "NONE",
    "enumptr": "ENUM_PTR", "flagsptr": "FLAGS_PTR", "hexptr": "HEX_PTR", "signalptr": "SIGNAL_PTR",
    "ushortptr": "USHORT_PTR", "name": "STRING", "bigendian": "HTONS", "userreg": "USER_REG", "errno": "ERRNO", "raw": "HEX",
    "dateptr": "DATE_PTR", "ulongptr": "ULONG_PTR", "sigpair": "SIGSET_PAIR", "nodemask": "NODEMASK", "qcmd": "QUOTA_CMD",
    "msgbuf": "MSGBUF", "filehandle": "FILE_HANDLE",
}
SET_KINDS = ("FLAGS", "ENUM", "IPC_FLAGS", "ENUM_PTR", "FLAGS_PTR", "IOCTL_CMD", "HTONS", "QUOTA_CMD")
PTR_SIZES = {"FD_PAIR": 8, "INT_PTR": 4, "UINT_PTR": 4, "LONG_PTR": 8, "WSTATUS": 4, "ENUM_PTR": 4, "FLAGS_PTR": 4,
             "HEX_PTR": 8, "SIGNAL_PTR": 4, "USHORT_PTR": 2, "DATE_PTR": 8, "ULONG_PTR": 8}
NAME_BYTES = 16
# struct word -> (enum struct_id, C type whose size the kernel copies)
STRUCTS = {
    "stat": "struct stat", "statx": "struct statx", "statfs": "struct statfs",
    "timespec": "struct __kernel_timespec", "timeval": "struct __kernel_old_timeval",
    "timezone": "struct timezone", "itimerval": "struct __kernel_old_itimerval",
    "itimerspec": "struct __kernel_itimerspec", "rlimit": "struct rlimit64",
    "rusage": "struct rusage", "sigaction": "struct vtrace_sigaction", "siginfo": "siginfo_t",
    "stack_t": "stack_t", "utsname": "struct new_utsname", "sysinfo": "struct sysinfo",
    "tms": "struct vtrace_tms", "pollfd": "struct pollfd", "epoll_event": "struct epoll_event",
    "dirent64": None, "timespec_pair": "struct __kernel_timespec[2]",
    "timeval_pair": "struct __kernel_old_timeval[2]", "clone_args": "struct clone_args",
    "robust_list": "struct robust_list_head", "sched_param": "struct vtrace_sched_param",
    "rseq": "struct rseq", "open_how": "struct open_how",
    "cap_header": "struct __user_cap_header_struct", "cap_data": "struct __user_cap_data_struct[2]",
    "utimbuf": "struct utimbuf", "flock": "struct flock", "sigevent": "struct sigevent",
    "u32": "__u32", "u64": "__u64", "sigframe": "__u64",
    "termio": "struct termio", "termios": "struct termios", "termios2": "struct termios2",
    "s32": "__s32", "uid": "__u32", "pointer": "__u64", "page_status": "__s32",
    "byte": "char",    # bytes to capture, STRUCT_NONE
}
POINTER_KINDS = set("PATH STRING BUFFER STRUCT ARRAY ARGV ENVP IOVEC MSGHDR MMSGHDR SOCKADDR SIGSET "
                    "FDSET FD_PAIR INT_PTR UINT_PTR LONG_PTR WSTATUS SOCKLEN_PTR ENUM_PTR FLAGS_PTR HEX_PTR "
                    "SIGNAL_PTR USHORT_PTR DATE_PTR ULONG_PTR SIGSET_PAIR NODEMASK MSGBUF FILE_HANDLE".split())


class AnnotationError(Exception):
    """A mistake in a checked-in text: str() is `file:line: what is wrong`."""

    def __init__(self, file, line, message):
        super().__init__("%s:%d: %s" % (file, line, message))


class Arg:
    """One argument: names and types from the prototype, the rest from the annotation."""

    def __init__(self, name, ctype, kind):
        self.name, self.ctype, self.kind = name, ctype, kind
        self.direction, self.struct, self.set = "IN", None, None
        self.len_from, self.len_arg, self.size = "NONE", 0, 0
        self.annotated = False
        self.narrow = False        # a number of 32 bits
        self.captured = False      # a BY_COMMAND argument the agent copies something for
        self.elements = 0          # array[N]: N elements


class Syscall:
    def __init__(self, name, number, args):
        self.name, self.number, self.args = name, number, args
        self.ret, self.ret_set, self.classes, self.typed, self.entry = "INT", None, [], False, None
        self.commands = []         # [(value of the leading argument, Syscall)]: gen/commands
        self.lead = None           # its index

    @property
    def entry_args(self):
        """Arguments strace prints at entry: those before the first output one."""
        if self.entry is not None:
            return self.entry
        for index, arg in enumerate(self.args):
            if arg.direction != "IN":
                return index
        return len(self.args)


LINE = re.compile(r"(\w+)\s*\((.*)\)\s*->\s*(\w+(?:\(\w+\))?)\s*(?:/\s*(\d)\s*)?(?::\s*([\w\s,]*))?$")
ARG = re.compile(r"(\w+)(?:\s*:\s*(?:(in|out|inout)\s+)?(\w+)(?:\((\w+)\))?(?:\[(\*?\w+)\])?)?$")


class Reader:
    """What the texts that describe arguments have in common."""

    def __init__(self, file):
        self.file = file

    def fail(self, line, message):
        raise AnnotationError(self.file, line, message)

    def apply_return(self, number, row, text, sets):
        word, _, detail = text.rstrip(")").partition("(")
        if word not in (SET_RETURNS if detail else RETURNS):
            self.fail(number, "unknown return kind `%s`" % text)
        if detail and detail not in sets:
            self.fail(number, "unknown set `%s`" % detail)
        row.ret, row.ret_set = word.upper(), detail or None

    def apply_kind(self, number, row, arg, match, sets, sizes):
        _, direction, word, detail, length = match.groups()
        if word not in KINDS:
            self.fail(number, "%s: unknown kind `%s`" % (arg.name, word))
        arg.kind, arg.annotated = KINDS[word], True
        arg.direction = (direction or "in").upper()
        arg.size = NAME_BYTES if word == "name" else 4 if word == "hex" and arg.narrow else PTR_SIZES.get(arg.kind, 0)
        if arg.kind in SET_KINDS:
            if detail not in sets:
                self.fail(number, "%s: unknown set `%s`" % (arg.name, detail))
            arg.set = detail
        elif arg.kind in ("STRUCT", "ARRAY"):
            if detail not in sizes:
                self.fail(number, "%s: unknown struct `%s`" % (arg.name, detail))
            arg.struct, arg.size = detail, sizes[detail]
        elif word == "command":
            arg.captured = True
            if detail is not None:
                if detail not in sizes:
                    self.fail(number, "%s: unknown struct `%s`" % (arg.name, detail))
                arg.struct, arg.size = detail, sizes[detail]
        elif detail:
            self.fail(number, "%s: `%s` takes no (%s)" % (arg.name, word, detail))
        if length:
            self.apply_length(number, row, arg, length)
        elif arg.kind in ("BUFFER", "ARRAY", "IOVEC", "MMSGHDR", "SOCKADDR", "FDSET", "NODEMASK", "MSGBUF"):
            self.fail(number, "%s: `%s` needs a [length]" % (arg.name, word))

    def apply_length(self, number, row, arg, length):
        names = [other.name for other in row.args]
        if length == "ret":
            arg.len_from = "RET"
        elif length == "exact" and arg.kind == "STRUCT":
            arg.len_from = "FIXED"      # captured elsewhere: not the struct when there are more bytes
        elif length.isdigit():
            arg.len_from = "FIXED"
            if arg.kind == "ARRAY":
                arg.elements = int(length)
            else:
                arg.size = int(length)
        elif length.lstrip("*") in names:
            arg.len_from = "ARG_PTR" if length.startswith("*") else "ARG"
            arg.len_arg = names.index(length.lstrip("*"))
        else:
            self.fail(number, "%s: unknown argument `%s` in its length" % (arg.name, length))


class Annotations(Reader):
    """gen/annotations, split by kind of line. Nothing is checked against prototypes yet."""

    def __init__(self, path, shown="annotations"):
        super().__init__(shown)
        self.rows, self.prototypes, self.use = [], [], {}
        with open(path, encoding="utf-8") as text:
            for number, line in enumerate(text, 1):
                line = line.split("#", 1)[0].strip()
                if not line:
                    continue
                words = line.split(None, 1)
                if words[0] == "prototype":
                    self.prototypes.append((number, words[1]))
                elif words[0] == "use":
                    name, source = words[1].split()
                    self.use[name] = (source, number)
                else:
                    self.rows.append((number, line))

    def apply(self, syscalls, sets, sizes):
        """Put every annotation into `syscalls` (name -> Syscall), or fail at its line."""
        seen = set()
        for number, line in self.rows:
            match = LINE.match(line)
            if not match:
                self.fail(number, "not `name(arg: kind, ...) -> return : classes`")
            name, args, ret, entry, classes = match.groups()
            row = syscalls.get(name)
            if row is None:
                self.fail(number, "unknown syscall `%s`" % name)
            if name in seen:
                self.fail(number, "`%s` is annotated twice" % name)
            seen.add(name)
            self.apply_return(number, row, ret, sets)
            row.typed = True
            row.classes = [word.strip() for word in (classes or "").split(",") if word.strip()]
            for word in row.classes:
                if word not in CLASSES:
                    self.fail(number, "unknown class `%s`" % word)
            self.apply_args(number, row, args, sets, sizes)
            if entry is not None:
                row.entry = int(entry)
                if row.entry > len(row.args):
                    self.fail(number, "`/%s`, but %s has %d arguments" % (entry, name, len(row.args)))

    def apply_args(self, number, row, text, sets, sizes):
        texts = [part.strip() for part in text.split(",")] if text.strip() else []
        if len(texts) != len(row.args):
            self.fail(number, "%s has %d arguments, %d annotated" % (row.name, len(row.args), len(texts)))
        parsed = [ARG.match(part) for part in texts]
        for part, match, arg in zip(texts, parsed, row.args):
            if not match:
                self.fail(number, "cannot read argument `%s`" % part)
            if not arg.name:
                arg.name = match.group(1)
            elif arg.name != match.group(1):
                self.fail(number, "%s: argument `%s` is called `%s` in the prototype"
                          % (row.name, match.group(1), arg.name))
        for match, arg in zip(parsed, row.args):
            if match.group(3):
                self.apply_kind(number, row, arg, match, sets, sizes)
