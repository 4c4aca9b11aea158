"""Facts out of the machine code of a shared library: which of its functions make system calls. Reads the dynamic
symbols, the bounds in .eh_frame and objdump's disassembly; knows no function by name."""
import bisect
import collections
import os
import re
import struct
import subprocess

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection

# A function that only forwards is short: longer ones do work of their own around the call.
FORWARDER_INSTRUCTIONS = 64
# Numbers of system calls, x86-64.
FUTEX = 202
PROCESS = {56: "clone", 57: "fork", 58: "vfork", 59: "execve", 322: "execveat", 435: "clone3"}

# What matters in objdump's text of an instruction.
JUMPS = re.compile(r"^(?:bnd |notrack )*(j[a-z]+|call|xbegin)\s+(\S+)")
RIP_TARGET = re.compile(r"# ([0-9a-f]+)")
LOAD = re.compile(r"^mov\s+(-?0x[0-9a-f]+)?\((%r\w+|%rip)\),(%r\w+)")
ADDRESS = re.compile(r"^lea\s+\S+\(%rip\)")
NUMBER = re.compile(r"^mov\s+\$(0x[0-9a-f]+),%eax")
WRITTEN = re.compile(r"(%(?:r|e)\w+)(?:\s+#.*)?$")

# What pyelftools raises on a damaged file, besides its own error.
DAMAGED = (ELFError, struct.error, ValueError, TypeError, AttributeError, LookupError, AssertionError, MemoryError)


class CodeError(Exception):
    """The library cannot be read; the message is for the user."""


class Export(collections.namedtuple("Export", "name versions address size ifunc")):
    """A function symbol under one name; `versions` holds (version name, whether programs linked today get it)."""

    def is_private(self):
        return all(version == "GLIBC_PRIVATE" for version, _ in self.versions)

    def is_default(self):
        return any(default for _, default in self.versions)


class Function:
    """One piece of code, exported or not, and what it does."""

    def __init__(self, start, end):
        self.start, self.end = start, end
        self.parts = [(start, end)]     # its own bytes, then .cold parts it jumps into
        self.syscall = False            # holds a syscall instruction
        self.numbers = set()            # of its system calls, where they are constants; else None is in it
        self.vdso = False               # calls through a pointer of GLRO(dl_vdso_*)
        self.targets = []               # starts of the functions it calls or tail-jumps to, in order of address
        self.tails = []                 # those of the targets it jumps to
        self.returns = False            # holds a ret, or jumps where only the running program knows
        self.indirect = False           # has a call or jump through a register or memory
        self.addresses = []             # code addresses it takes with lea
        self.length = 0                 # instructions


class Library:
    def __init__(self, path):
        self.path = path
        try:
            with open(path, "rb") as stream:
                self._read(ELFFile(stream))
        except OSError as error:
            raise CodeError("%s: %s" % (path, error.strerror)) from None
        except DAMAGED as error:
            raise CodeError("%s: not an ELF library that can be read (%s)" % (path, error)) from None
        self._disassemble()
        self.functions = {}

    def _read(self, elf):
        if elf["e_machine"] != "EM_X86_64" or elf["e_type"] != "ET_DYN":
            raise CodeError("%s: not an x86-64 shared library" % self.path)
        symbols = elf.get_section_by_name(".dynsym")
        if symbols is None:
            raise CodeError("%s: no dynamic symbols" % self.path)
        self.text = sorted((s["sh_addr"], s["sh_addr"] + s["sh_size"]) for s in elf.iter_sections()
                           if s["sh_flags"] & 4 and s["sh_type"] == "SHT_PROGBITS" and not s.name.startswith(".plt"))
        self.constants = [(s["sh_addr"], s.data()) for s in elf.iter_sections()
                          if s["sh_flags"] & 7 == 2 and s["sh_type"] == "SHT_PROGBITS"]
        interpreter = elf.get_section_by_name(".interp")
        self.interpreter = interpreter.data().rstrip(b"\0").decode() if interpreter is not None else None
        self.exports = read_exports(elf, symbols)
        self.relocations = read_relocations(elf, symbols)
        self.bounds = read_frame_bounds(elf)
        dynamic = elf.get_section_by_name(".dynamic")
        sonames = [tag.soname for tag in dynamic.iter_tags("DT_SONAME")] if dynamic is not None else []
        self.soname = sonames[0] if sonames else os.path.basename(self.path)
        for export in self.exports:
            if export.size:
                self.bounds[export.address] = export.address + export.size
        self.starts = sorted(self.bounds)
        self._stretch_internal()
        self.exported_at = {export.address for export in self.exports}
        self.private_at = self.exported_at - {e.address for e in self.exports if not e.is_private()}

    def _stretch_internal(self):
        """Hand-written code may go on after its frame entry (clone3 ends that before its system call): what has no
        symbol reaches to the next start in its section."""
        exported = {export.address for export in self.exports}
        for start, following in zip(self.starts, self.starts[1:] + [None]):
            section = [high for low, high in self.text if low <= start < high]
            if section and start not in exported:
                end = section[0] if following is None else min(following, section[0])
                self.bounds[start] = max(self.bounds[start], end)

    def _disassemble(self):
        try:
            done = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "-w", "--", self.path], capture_output=True,
                                  text=True, check=False, env=dict(os.environ, LC_ALL="C"))
        except OSError as error:
            raise CodeError("objdump: %s" % error.strerror) from None
        if done.returncode:
            raise CodeError("objdump: %s" % done.stderr.strip().split("\n")[-1])
        self.at, self.instructions = [], []
        for line in done.stdout.split("\n"):
            address, colon, text = line.partition(":\t")
            if colon:
                self.at.append(int(address, 16))
                self.instructions.append(text)

    def syscall_sites(self):
        """(syscall instructions in exported functions, in internal code)."""
        sites = [address for address, text in zip(self.at, self.instructions) if text.startswith("syscall")]
        functions = [self.function(start) for start in sorted(self.exported_at)]
        parts = [part for function in functions if function for part in function.parts]
        exported = [site for site in sites if any(low <= site < high for low, high in parts)]
        return len(exported), len(sites) - len(exported)

    def strings_used(self, prefix):
        """The NUL-terminated constants that begin so and whose address the code takes."""
        found = set()
        for text in self.instructions:
            target = RIP_TARGET.search(text) if ADDRESS.match(text) else None
            if target:
                string = self.constant(int(target.group(1), 16))
                if string.startswith(prefix):
                    found.add(string)
        return found

    def constant(self, address):
        for start, data in self.constants:
            if start <= address < start + len(data):
                end = data.find(b"\0", address - start)
                return data[address - start:max(end, 0)].decode("ascii", "replace")
        return ""

    def is_code(self, address):
        return any(low <= address < high for low, high in self.text)

    def holder(self, address):
        """The start of the function whose bounds hold `address`, or None."""
        i = bisect.bisect_right(self.starts, address) - 1
        # An exported symbol may lie inside a longer frame entry (hand-written assembly): look a few starts back.
        for start in reversed(self.starts[max(0, i - 3):i + 1]):
            if start <= address < self.bounds[start]:
                return start
        return None

    def listing(self, low, high):
        first = bisect.bisect_left(self.at, low)
        last = bisect.bisect_left(self.at, high)
        return zip(self.at[first:last], self.instructions[first:last])

    def function(self, start):
        """What the code at `start` does; None where no function is known to begin."""
        if start not in self.functions:
            if start not in self.bounds:
                return None
            function = Function(start, self.bounds[start])
            self.functions[start] = function
            for low, high in function.parts:    # grows while .cold parts are found
                self._scan(function, low, high)
            function.targets = sorted(set(function.targets))
        return self.functions[start]

    def _scan(self, function, low, high):
        global_ro, pointers, tested, number = set(), set(), set(), None
        for _, text in self.listing(low, high):
            function.length += 1
            if text.startswith("syscall"):
                function.syscall = True
                function.numbers.add(number)
                continue
            constant = NUMBER.match(text)
            if constant:
                number = int(constant.group(1), 16)
            if text.startswith(("ret", "bnd ret", "repz ret")):
                function.returns = True
                continue
            jump = JUMPS.match(text)
            if jump:
                self._scan_jump(function, jump.group(1), jump.group(2), tested)
                continue
            load = LOAD.match(text)
            if load:
                self._scan_load(text, load, global_ro, pointers, tested)
            elif text.startswith(("test", "cmp")):
                register = text.split()[1].split(",")[0]
                if register in pointers:
                    tested.add(register)
            else:
                if ADDRESS.match(text):
                    address = int(RIP_TARGET.search(text).group(1), 16)
                    if self.is_code(address):
                        function.addresses.append(address)
                written = WRITTEN.search(text)
                if written:
                    forget(full_register(written.group(1)), global_ro, pointers, tested)

    def _scan_load(self, text, load, global_ro, pointers, tested):
        """Follows `mov _rtld_global_ro@GOT,%rA; mov off(%rA),%rB; test %rB,%rB; ... call *%rB`. Of the pointers in
        _rtld_global_ro only those to the vDSO may be null, so only they are tested first."""
        _, base, to = load.groups()
        is_pointer = base in global_ro
        forget(to, global_ro, pointers, tested)
        if base == "%rip":
            slot = RIP_TARGET.search(text)
            if slot and self.relocations.get(int(slot.group(1), 16)) == "_rtld_global_ro":
                global_ro.add(to)
        elif is_pointer:
            pointers.add(to)

    def _scan_jump(self, function, mnemonic, operand, tested):
        if operand.startswith("*"):
            if operand[1:] in tested:
                function.vdso = True
            else:
                function.indirect = True
            function.returns |= mnemonic == "jmp"
            return
        target = int(operand, 16)
        if any(low <= target < high for low, high in function.parts):
            return
        start = self.holder(target)
        if start is None or not self.is_code(target):
            function.targets.append(target)     # the PLT
            function.returns |= mnemonic != "call"
        elif mnemonic != "call" and start not in self.exported_at and (target != start or mnemonic != "jmp"):
            function.parts.append((start, self.bounds[start]))
        else:
            function.targets.append(start)
            if mnemonic != "call":
                function.tails.append(start)


def full_register(name):
    """%eax and %r9d as %rax and %r9."""
    return "%r" + name[2:] if name.startswith("%e") else name.rstrip("dwb") if name[2].isdigit() else name


def forget(register, *sets):
    for registers in sets:
        registers.discard(register)


def read_exports(elf, symbols):
    """Every defined function symbol, one Export per (name, address), with the names of its versions."""
    versym = elf.get_section_by_name(".gnu.version")
    verdef = elf.get_section_by_name(".gnu.version_d")
    names = {}
    if verdef is not None:
        for definition, auxiliaries in verdef.iter_versions():
            names[definition["vd_ndx"]] = next(auxiliaries).name
    found = {}
    for i, symbol in enumerate(symbols.iter_symbols()):
        kind = symbol["st_info"]["type"]
        if kind not in ("STT_FUNC", "STT_GNU_IFUNC", "STT_LOOS") or symbol["st_shndx"] == "SHN_UNDEF" or \
                symbol["st_info"]["bind"] == "STB_LOCAL":
            continue
        index = versym.get_symbol(i)["ndx"] if versym is not None else 1
        hidden = isinstance(index, int) and bool(index & 0x8000)
        version = names.get(index & 0x7fff, "") if isinstance(index, int) else ""
        key = symbol.name, symbol["st_value"]
        if key not in found:
            found[key] = Export(symbol.name, [], symbol["st_value"], symbol["st_size"], kind != "STT_FUNC")
        found[key].versions.append((version, not hidden))
    return [found[key] for key in sorted(found)]


def read_relocations(elf, symbols):
    """GOT slot -> name of the symbol it is for."""
    slots = {}
    for section in elf.iter_sections():
        if isinstance(section, RelocationSection):
            for relocation in section.iter_relocations():
                if relocation["r_info_sym"]:
                    slots[relocation["r_offset"]] = symbols.get_symbol(relocation["r_info_sym"]).name
    return slots


def read_frame_bounds(elf):
    """Function start -> end, from the .eh_frame entries the sorted table in .eh_frame_hdr points to. (pyelftools
    decodes each entry's instructions too, which takes ten seconds for libc.)"""
    table, frame = elf.get_section_by_name(".eh_frame_hdr"), elf.get_section_by_name(".eh_frame")
    if table is None or frame is None:
        return {}
    data, entries = table.data(), frame.data()
    if data[:4] != b"\x01\x1b\x03\x3b":     # version 1; pcrel sdata4, udata4, datarel sdata4: what every linker writes
        raise CodeError("%s: unusual .eh_frame_hdr encoding" % elf.stream.name)
    bounds = {}
    for i in range(struct.unpack_from("<I", data, 8)[0]):
        start, entry = struct.unpack_from("<ii", data, 12 + 8 * i)
        offset = table["sh_addr"] + entry - frame["sh_addr"]
        size = struct.unpack_from("<I", entries, offset + 12)[0]    # after length, CIE, start
        bounds[table["sh_addr"] + start] = table["sh_addr"] + start + size
    return bounds


class Finder:
    """Classifies code: how("...") is a short reason in words, or None where there is no system call."""

    def __init__(self, library):
        self.library = library
        self.known, self.returning, self.leading = {}, {}, {}

    def how(self, start):
        """(kind, starts of what it forwards to), kind one of syscall, vdso, syscall and vdso, forwards,
        process; or None."""
        if start not in self.known:
            self.known[start] = None    # a loop of forwarders leads nowhere
            self.known[start] = self._classify(self.library.function(start))
        return self.known[start]

    def how_ifunc(self, start):
        """An IFUNC symbol's code is its resolver; the functions it can choose are those whose address it takes."""
        resolver = self.library.function(start)
        chosen = [a for a in sorted(set(resolver.addresses)) if a in self.library.bounds and self.how(a)] \
            if resolver else []
        return ("ifunc", chosen) if chosen else None

    def _classify(self, function):
        if function is None:
            return None
        if function.vdso:
            return "syscall and vdso" if function.syscall else "vdso", []
        if function.syscall:
            return "syscall", []
        forwarded = self._forwarded(function)
        if forwarded:
            return "forwards", forwarded
        return ("process", []) if self.makes_process(function.start) else None

    def _forwarded(self, function):
        """What a short function does its work with, if all of that is functions that make system calls."""
        if function.indirect or function.length > FORWARDER_INSTRUCTIONS:
            return []
        working = [t for t in function.targets if self.returns(t) and self.reaches(t) and not self.is_lock(t)]
        return working if all((self.how(t) or ["process"])[0] != "process" for t in working) else []

    def makes_process(self, start):
        """Whether direct calls lead from here to a new process or program, however much else is done on the way
        (fork runs handlers, system waits)."""
        return start in self._leading_to("process", lambda f: not f.numbers.isdisjoint(PROCESS))

    def reaches(self, start):
        """Whether a system call can be reached from here at all; an indirect call may lead to one."""
        return start in self._leading_to("call", lambda f: f.syscall or f.vdso or f.indirect)

    def _leading_to(self, label, is_goal):
        """The functions from which direct calls lead to one that is_goal accepts; worked out once per label."""
        if label not in self.leading:
            callers = collections.defaultdict(list)
            reached = set()
            for start in self.library.starts:
                function = self.library.function(start)
                if is_goal(function):
                    reached.add(start)
                for target in function.targets:
                    if self.returns(target):
                        callers[target].append(start)
            pending = sorted(reached)
            while pending:
                for caller in callers[pending.pop()]:
                    if caller not in reached:
                        reached.add(caller)
                        pending.append(caller)
            self.leading[label] = reached
        return self.leading[label]

    def is_lock(self, start):
        """libc's own locks wait in functions shared with the loader that make no call but futex. rand() takes such a
        lock, and so does every stdio function: that is not forwarding."""
        function = self.library.function(start)
        return function is not None and function.numbers == {FUTEX} and start in self.library.private_at

    def returns(self, start):
        """False for abort, __stack_chk_fail and their kind: an error exit is not what a function forwards to."""
        if start not in self.returning:
            self.returning[start] = True
            function = self.library.function(start)
            if function is not None and not function.returns:
                self.returning[start] = any([self.returns(t) for t in function.tails])
        return self.returning[start]
