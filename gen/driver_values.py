"""What the driver passes for each kind of argument. An option is {argument index: C text}: a buffer and its length go
together. The first option is the usual one. Names in capitals are addresses in tests/compare/driver.h."""

POINTERS = ["ZEROS", "PATTERN", "SMALL", "ONES", "NULL_", "BAD", "EDGE"]
NUMBERS = ["0", "1", "0x7fffffff", "0x80000000ul", "-1ul", "0xdeadbeefcafef00dul"]
PATHS = ["TEXT_FILE", "TEXT_MISSING", "TEXT_EMPTY", "TEXT_SPECIAL", "TEXT_LONG", "NULL_", "BAD", "EDGE"]
SIZES = {"BUFFER": [("TEXT_FILE", "4"), ("TEXT_FILE", "0"), ("PATTERN", "40"), ("ZEROS", "9"), ("NULL_", "0"), ("NULL_", "5"),
                    ("BAD", "0"), ("BAD", "5"), ("EDGE", "3"), ("PATTERN", "-1ul"), ("TEXT_SPECIAL", "12")],
         "IOVEC": [("IOVECS", "3"), ("IOVECS", "0"), ("IOVECS", "1"), ("BAD_IOVECS", "2"), ("NULL_", "1"), ("NULL_", "0"), ("BAD", "2"),
                   ("EDGE", "1"), ("IOVECS", "-1ul")],
         "MMSGHDR": [("MMSGS", "2"), ("MMSGS", "0"), ("NULL_", "1"), ("BAD", "2"), ("EDGE", "1")],
         "ARRAY": [("ZEROS", "1"), ("PATTERN", "2"), ("ONES", "3"), ("SMALL", "0"), ("NULL_", "0"), ("NULL_", "1"), ("BAD", "2"),
                   ("EDGE", "1"), ("PATTERN", "-1ul")],
         "SIGSET": [("SMALL", "8"), ("ZEROS", "8"), ("ONES", "8"), ("PATTERN", "8"), ("NULL_", "8"), ("BAD", "8"), ("EDGE", "8"),
                    ("PATTERN", "4"), ("PATTERN", "16"), ("PATTERN", "0"), ("PATTERN", "-1ul")],
         "FDSET": [("ZEROS", "5"), ("SMALL", "10"), ("PATTERN", "12"), ("NULL_", "3"), ("BAD", "3"), ("SMALL", "0"), ("SMALL", "-1ul")],
         "SOCKADDR": [("ADDR_UNIX", "10"), ("ADDR_ABSTRACT", "8"), ("ADDR_UNIX", "110"), ("ADDR_UNIX", "2"), ("ADDR_UNIX", "1"),
                      ("ADDR_UNIX", "0"), ("ADDR_INET", "16"), ("ADDR_INET", "8"), ("ADDR_INET6", "28"), ("ADDR_NETLINK", "12"),
                      ("ADDR_PACKET", "20"), ("ADDR_OTHER", "16"), ("PATTERN", "30"), ("NULL_", "16"), ("NULL_", "0"), ("BAD", "16"), ("EDGE", "16"),
                      ("ADDR_INET", "-1ul"), ("ADDR_INET", "200")]}
FDS = {"epfd": "FD_EPOLL", "pidfd": "FD_PIDFD"}
FAMILY_FDS = (("inotify_", "FD_INOTIFY"), ("timerfd_", "FD_TIMER"))
TERMS = ["0", "1", "ZEROS", "BAD"]


class Values:
    def __init__(self, sets):
        self.sets = sets

    def constants(self, name):
        return ["%#x" % value if value < 1 << 31 else "%#xul" % value for _, value in self.sets[name].items]

    def flags(self, name):
        single = self.constants(name)
        every = 0
        for _, value in self.sets[name].items:
            every |= value
        unknown = ~every & 0xffffffff
        return ["0"] + single + ["%#xul" % word for word in (every, unknown, unknown & -unknown, every & 0xff | unknown & 0xff000000,
                                                           0xffffffff, 0xffffffffffffffff, every | 1 << 40)]

    def enums(self, name):
        return self.constants(name) + ["0", "0x7f", "-1ul", "0xffffffff", "0xdeadbeef00000000ul"]

    def fds(self, row, arg):
        usual = FDS.get(arg.name, "FD_FILE")
        for prefix, name in FAMILY_FDS:
            usual = name if row.name.startswith(prefix) and arg.name in ("fd", "ufd") else usual
        if "network" in row.classes:
            usual = "FD_SOCKET"
        return [usual, "-1ul", "0", "FD_PIPE", "FD_DIR", "0x7fffffff", "0xdeadbeef00000003ul", "-100ul"]

    def of(self, row, index):
        """Options of one argument, as texts."""
        arg = row.args[index]
        kind = arg.kind
        if kind in ("FLAGS", "IPC_FLAGS"):
            return self.flags(arg.set)
        if kind == "ENUM":
            return self.enums(arg.set)
        if kind in ("FD", "DIRFD"):
            return (["-100ul"] if kind == "DIRFD" else []) + self.fds(row, arg)
        if kind in ("PATH", "STRING"):
            return PATHS if arg.direction == "IN" else POINTERS
        if kind in ("ARGV", "ENVP"):
            return ["STRINGS", "STRINGS_BAD", "STRINGS_NONE", "STRINGS_MANY", "NULL_", "BAD", "EDGE"]
        if kind in ("MODE", "MODET"):
            return ["0644", "0", "07777", "0100600", "0020666", "0140000", "-1ul", "0xffff0000ul"]
        if kind == "SIGNAL":
            return ["SIGUSR1_", "0", "1", "31", "32", "33", "64", "65", "-1ul", "0x7fffffff"]
        if kind == "PID":
            return ["0x7ffffff0", "0xdeadbeef7ffffff0ul"] + ([] if "kill" in row.name or "queue" in row.name else ["0", "-1ul"])
        if kind == "UID":
            return ["65534", "0", "-1ul", "0x7fffffff", "0xdeadbeef00000001ul"]
        if kind == "DEV":
            return ["0x103", "0", "-1ul", "0x12345678ul"]
        if kind == "SOCKLEN_PTR":
            return ["LENGTH", "SMALL", "ZEROS", "NULL_", "BAD", "EDGE"]
        if kind == "MSGHDR":
            return ["MSG", "MSG_NAMED", "MSG_CONTROL", "MSG_BAD", "ZEROS", "NULL_", "BAD", "EDGE"]
        if kind == "ADDR":
            return ["NULL_", "BAD"] + (["SPARE"] if "memory" in row.classes else ["ZEROS", "PATTERN", "SMALL"]) + ["-1ul"]
        if kind == "IOCTL_CMD":
            return self.constants("ioctls") + ["0", "-1ul", "0xdeadbeefcafef00dul", "0x80041234ul", "0xc0ff5678ul"]
        if kind == "BY_COMMAND":
            return ["0", "1", "ZEROS", "PATTERN", "NULL_", "BAD", "-1ul"]
        if arg.kind in ("STRUCT", "FD_PAIR", "INT_PTR", "UINT_PTR", "LONG_PTR", "WSTATUS"):
            return POINTERS
        if arg.name.startswith("timeout"):
            return ["0", "1"]
        return NUMBERS

    def of_row(self, row):
        choices = []
        lengths = {}
        for index, arg in enumerate(row.args):
            pairs = SIZES.get(arg.kind)
            if pairs and arg.kind == "FDSET":
                lengths.setdefault(arg.len_arg, "10")
                choices.append([{index: pointer} for pointer, _ in pairs])
            elif pairs and arg.len_from == "ARG":
                choices.append([{index: pointer, arg.len_arg: length} for pointer, length in pairs])
            elif pairs and row.args[index].kind in ("BUFFER", "ARRAY", "IOVEC") and arg.len_from == "RET":
                choices.append([{index: pointer} for pointer in ("ROOM", "NULL_", "BAD", "EDGE")])
            elif pairs:
                choices.append([{index: pointer} for pointer in POINTERS])
            else:
                choices.append([{index: text} for text in self.of(row, index)])
        for index, options in enumerate(choices):
            if index in lengths:
                options.insert(0, {index: lengths[index]})
            elif row.args[index].name in ("count", "size", "bufsiz", "len", "nfds", "maxevents") and row.args[index].kind not in ("FLAGS",):
                options.insert(0, {index: "40"})
        return choices

    def commands(self, row):
        """Every command of a multiplexed call with some arguments."""
        words = [i for i, arg in enumerate(row.args) if arg.kind == "BY_COMMAND" or
                 any(made.args[i].kind not in (arg.kind, "NONE") for _, made in row.commands)]
        leads = [i for i, arg in enumerate(row.args) if arg.kind == "ENUM" or arg.kind == "IOCTL_CMD"]
        if row.name in ("setsockopt", "getsockopt"):
            return self.socket_options(row)
        made = []
        for lead in leads[:1] if words else []:
            for constant in self.of(row, lead):
                for text in TERMS:
                    made.append({lead: constant, **{i: text for i in words}})
        return made

    def socket_options(self, row):
        made = []
        for level, name in (("1", "so_options"), ("6", "tcp_options"), ("17", "udp_options"), ("0", "ip_options"), ("41", "ipv6_options"),
                            ("263", "so_options"), ("270", "so_options")):
            for constant in self.constants(name):
                for pointer, length in (("SMALL", "4"), ("PATTERN", "40")):
                    made.append({1: level, 2: constant, 3: pointer, 4: length if row.name == "setsockopt" else "LENGTH"})
        return made
