"""Reads gen/commands: what the arguments behind a command are. Every command is a row of its own (its grammar is in that file)."""
import copy
import os

from tables_model import ARG, POINTER_KINDS, Arg, Reader, Syscall

# The leading argument of calls that tell it apart by some of its bits.
MASKS = {"futex": 127}
FULL = (1 << 64) - 1


class Commands(Reader):
    def __init__(self, path):
        super().__init__(os.path.basename(path))
        with open(path, encoding="utf-8") as text:
            self.lines = [(number, line.split("#", 1)[0].strip()) for number, line in enumerate(text, 1)]

    def apply(self, syscalls, sets, sizes):
        """Put a row for each command into its Syscall."""
        for number, line in self.lines:
            if not line:
                continue
            left, colon, right = line.partition(":")
            name, *commands = left.split()
            for call in name.split(","):
                if not colon or not commands or call not in syscalls or lead_of(syscalls[call]) is None:
                    self.fail(number, "not `SYSCALL COMMAND...: ARGUMENT, ... [-> RETURN]`, or unknown: `%s`" % line)
                for command in commands:
                    self.add(number, syscalls[call], command, right, sets, sizes)

    def add(self, number, row, command, text, sets, sizes):
        """`A/B`: B is a command in the row of A, the next argument that has a set."""
        lead = lead_of(row)
        *outer, command = command.split("/")
        for word in outer:
            value = self.value(number, row, lead, word, sets)
            row = dict(row.commands).get(value)
            if row is None:
                self.fail(number, "`%s` has no row yet" % word)
            lead = lead_of(row, lead + 1)
            if lead is None:
                self.fail(number, "`%s` has no command behind it" % word)
        value = self.value(number, row, lead, command, sets)
        if value in [other for other, _ in row.commands]:
            self.fail(number, "%s: `%s` is there twice" % (row.name, command))
        row.lead = lead
        row.commands.append((value, self.variant(number, row, lead, text, sets, sizes)))

    def value(self, number, row, lead, word, sets):
        values = dict(sets[row.args[lead].set].items)
        if word not in values and not word[0].isdigit():
            self.fail(number, "%s: unknown command `%s`" % (row.name, word))
        return values[word] if word in values else int(word, 0)

    def variant(self, number, row, lead, text, sets, sizes):
        text, arrow, ret = text.partition("->")
        texts = [part.strip() for part in text.split(",") if part.strip()]
        made = Syscall(row.name, row.number, [copy.copy(arg) for arg in row.args])
        made.ret, made.ret_set, made.classes, made.typed = row.ret, row.ret_set, row.classes, row.typed
        rest = made.args[lead + 1:]
        if len(texts) > len(rest):
            self.fail(number, "%s has %d arguments behind its command" % (row.name, len(rest)))
        for arg, part in zip(rest, texts + ["none"] * len(rest)):
            if part == ".":
                continue
            output = arg.direction == "OUT"
            plain(arg)
            match = ARG.match("%s: %s" % (arg.name, part))
            if not match:
                self.fail(number, "cannot read argument `%s`" % part)
            self.apply_kind(number, made, arg, match, sets, sizes)
            if output and not match.group(2) and arg.kind in POINTER_KINDS:
                arg.direction = "OUT"
        if arrow:
            self.apply_return(number, made, ret.strip(), sets)
        return made


def plain(arg):
    """Forget what the annotation says."""
    fresh = Arg(arg.name, arg.ctype, arg.kind)
    fresh.narrow = arg.narrow
    arg.__dict__.update(fresh.__dict__)


def lead_of(row, first=0):
    """Index of the argument that is the command."""
    return next((index for index, arg in enumerate(row.args) if index >= first and arg.set and
                 arg.kind in ("ENUM", "FLAGS", "IOCTL_CMD")), None)


def mask_of(row):
    """What of it counts."""
    return MASKS.get(row.name, FULL if row.args[row.lead].ctype in ("long", "unsigned long") else 0xffffffff)
