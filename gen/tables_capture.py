"""What the agent copies for each syscall, derived from argument kinds."""
from tables_emit import HEAD
from tables_commands import mask_of
from tables_model import PTR_SIZES

ARGV_LIMIT, ENVP_LIMIT = 33, 255
STRUCT_LIMIT = 128     # bytes of a struct with a length
POLLFD_LIMIT = EPOLL_LIMIT = 255


def op(index, kind, phase, len_from="NONE", len_arg=0, limit=0, size=0):
    where = "PIECE_ARG_RET" if index == 7 else str(index)
    return "{ %s, CAPTURE_%s, PHASE_%s, LEN_%s, %d, %d, %d }" % (where, kind, phase, len_from, len_arg, limit, size)


def phases(direction):
    return {"IN": ["ENTRY"], "OUT": ["EXIT"], "INOUT": ["ENTRY", "EXIT"]}[direction]


def arg_ops(index, arg):
    """Capture operations of one argument."""
    kind, ops = arg.kind, []
    if kind in ("FD", "DIRFD"):
        return [op(index, "FDPATH", "ENTRY")]
    if kind == "BY_COMMAND":
        return command_ops(index, arg)
    if kind == "SOCKLEN_PTR":
        return [op(index, "LEN", "ENTRY"), op(index, "FIXED", "EXIT", size=4)]
    for phase in phases(arg.direction):
        if kind == "PATH":
            ops.append(op(index, "PATH", phase))
        elif kind == "STRING":
            ops.append(op(index, "STRING", phase, size=arg.size))
        elif kind == "BUFFER":
            ops.append(op(index, "BUFFER", phase, arg.len_from, arg.len_arg, size=arg.size))
        elif kind == "STRUCT" and arg.len_from == "ARG":
            ops.append(op(index, "ARRAY", phase, "ARG", arg.len_arg, STRUCT_LIMIT, 1))
        elif kind == "STRUCT":
            ops.append(op(index, "FIXED", phase, size=arg.size))
        elif kind == "ARRAY":
            ops.append(array_op(index, arg, phase))
        elif kind == "ARGV":
            ops.append(op(index, "STRINGV", phase, limit=ARGV_LIMIT))
        elif kind == "ENVP":
            ops.append(op(index, "STRINGV", phase, limit=ENVP_LIMIT, size=1))
        elif kind == "IOVEC":
            ops.append(op(index, "IOVEC", phase, arg.len_from, arg.len_arg))
        elif kind == "MSGHDR":
            if arg.direction == "OUT":      # msg_name and msg_namelen before the kernel changes them
                ops.append(op(index, "FIXED", "ENTRY", size=16))
            ops.append(op(index, "MSGHDR", phase))
        elif kind == "MMSGHDR":
            # Before sending and after receiving all of it; at the other end the headers only.
            if arg.direction == "OUT":
                ops.append(op(index, "MMSGHDR", "ENTRY", "ARG", index + 1, size=1))
            ops.append(op(index, "MMSGHDR", phase, arg.len_from, arg.len_arg, size=int(phase == "EXIT" and arg.direction != "OUT")))
        elif kind == "SOCKADDR":
            ops.append(op(index, "SOCKADDR", phase, arg.len_from, arg.len_arg))
        elif kind == "SIGSET":
            ops.append(op(index, "FIXED", phase, size=8))
        elif kind == "SIGSET_PAIR":
            ops.append(op(index, "SIGSET_PAIR", phase))
        elif kind == "NODEMASK":
            ops.append(op(index, "NODEMASK", phase, arg.len_from, arg.len_arg))
        elif kind == "FILE_HANDLE":
            ops.append(op(index, "FILE_HANDLE", phase))
        elif kind == "MSGBUF":
            ops += [op(index, "MSGBUF", phase, arg.len_from, arg.len_arg)]
        elif kind == "FDSET":
            ops.append(op(index, "FIXED", phase, size=128))
        elif kind in PTR_SIZES:
            ops.append(op(index, "FIXED", phase, size=arg.size))
    return ops


def command_ops(index, arg):
    if not arg.captured or not arg.struct:
        return []
    if arg.len_from == "NONE":
        return [op(index, "FIXED", phase, size=arg.size) for phase in phases(arg.direction)]
    return [array_op(index, arg, phase) for phase in phases(arg.direction)]


def array_op(index, arg, phase):
    if arg.len_from == "FIXED":
        return op(index, "FIXED", phase, size=arg.size * arg.elements)
    limit = 0 if arg.struct == "dirent64" else 255
    return op(index, "ARRAY", phase, arg.len_from, arg.len_arg, limit, arg.size)


def row_ops(row):
    ops = [text for index, arg in enumerate(row.args) for text in arg_ops(index, arg)]
    if row.ret == "FD":
        ops.append(op(7, "FDPATH", "EXIT"))
    if row.commands:     # what commands capture comes last: which arguments it is about, it says itself
        ops += [op(0, "COMMAND", phase, len_arg=row.lead, limit=group_of(row)) for phase in ("ENTRY", "EXIT")
                if any("PHASE_" + phase in text for _, made in row.commands for text in command_ops_of(row, made))]
    # Argument order is kept within a phase; entry first.
    return [text for text in ops if "PHASE_ENTRY" in text] + [text for text in ops if "PHASE_EXIT" in text]


def command_ops_of(row, made):
    """What a command captures of the arguments its call captures nothing of."""
    found = [text for index, arg in enumerate(made.args) if not arg_ops(index, row.args[index]) for text in arg_ops(index, arg)]
    if made.ret == "FD" and row.ret != "FD":
        found.append(op(7, "FDPATH", "EXIT"))
    for _, inner in made.commands:     # what the inner command is, is not looked at
        found += command_ops_of(row, inner)
    return list(dict.fromkeys(found))


GROUPS = []     # names of the calls with commands that capture something, in order


def group_of(row):
    if row.name not in GROUPS:
        GROUPS.append(row.name)
    return GROUPS.index(row.name)


def groups_c(rows):
    """The captures behind commands, sorted by command: what capture_command() looks for."""
    out, table, first = [], [], 0
    named = {row.name: row for row in rows}
    for name in GROUPS:
        row = named[name]
        found = [(value & 0xffffffff, text) for value, made in sorted(row.commands, key=lambda item: item[0] & 0xffffffff)
                 for text in command_ops_of(row, made)]
        out += ["\t/* %s */\n" % name] + ["\t{ %#xu, %s },\n" % item for item in found]
        table.append("\t{ %d, %d, %#xu },\n" % (first, len(found), mask_of(row) & 0xffffffff))
        first += len(found)
    out = out or ["\t{ 0, { 0, 0, 0, 0, 0, 0, 0 } },\n"]
    return "".join(["const struct capture_command capture_commands[] = {\n"] + out +
                   ["};\nconst struct capture_group capture_groups[] = {\n"] + (table or ["\t{ 0, 0, 0 },\n"]) + ["};\n"])


def capture_c(rows):
    ops, places = [], []
    del GROUPS[:]
    for row in rows:
        own = row_ops(row)
        if own:
            entry = sum("PHASE_ENTRY" in text for text in own)
            places.append("\t[%d] = { %d, %d, %d }, /* %s */\n" % (row.number, len(ops), entry, len(own) - entry, row.name))
            ops += own
    if not row_ops(rows[-1]):
        places.append("\t[%d] = { 0, 0, 0 },\n" % rows[-1].number)
    return "".join([
        HEAD % "gen/annotations and gen/commands", '/* Linked into the agent: freestanding. */\n#include "record.h"\n#include "tables.h"\n\n',
        "const struct capture_op capture_ops[] = {\n"] + ["\t/* %d */ %s,\n" % place for place in enumerate(ops)] +
        ["};\n\nconst struct capture_row capture_x86_64[] = {\n"] + places +
        ["};\nconst uint32_t capture_x86_64_count = sizeof(capture_x86_64) / sizeof(capture_x86_64[0]);\n\n"]) + groups_c(rows)
