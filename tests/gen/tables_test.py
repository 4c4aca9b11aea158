#!/usr/bin/python3
"""The table generator: same bytes twice, errors at their line, rows and constants that are right."""
import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GEN = os.path.join(ROOT, "gen")
WIRE = os.path.join(ROOT, "tracer", "wire")
FILES = ("syscalls.c", "structs.c", "structs.h", "sets.c", "sets.h", "capture.c", "coverage.txt")
sys.path.insert(0, GEN)


def generate(out, *options):
    return subprocess.run([sys.executable, os.path.join(GEN, "gen_tables.py"), "--out", out, *options],
                          capture_output=True, text=True, check=False)


def read(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as text:
        return text.read()


class Tables(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.out = os.path.join(cls.folder.name, "one")
        done = generate(cls.out)
        if done.returncode:
            raise AssertionError(done.stderr)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def row(self, name):
        """Text of a syscall's row: [head line, argument lines...]."""
        text = read(self.out, "syscalls.c")
        match = re.search(r'^\t\[\d+\] = \{ "%s",.*?\}, \S+, \S+ \},\n' % name, text, re.M | re.S)
        self.assertTrue(match, name)
        return [line.strip() for line in match.group(0).splitlines()]

    def ops(self, name):
        text = read(self.out, "capture.c")
        every = re.findall(r"\{ (\w+, CAPTURE_\w+, PHASE_\w+, LEN_\w+, \d+, \d+, \d+) \}", text)
        match = re.search(r"\[\d+\] = \{ (\d+), (\d+), (\d+) \}, /\* %s \*/\n" % name, text)
        first, entry, leave = (int(part) for part in match.groups()) if match else (0, 0, 0)
        self.assertEqual(["PHASE_EXIT" in op for op in every[first:first + entry + leave]], [False] * entry + [True] * leave)
        return every[first:first + entry + leave]

    def compile(self, *options, language="c11"):
        return subprocess.run(["gcc", "-std=" + language, "-Wall", "-Wextra", "-Werror", "-I", WIRE, "-I", self.out,
                               *options], capture_output=True, text=True, check=False)

    def test_two_runs_give_the_same_bytes(self):
        other = os.path.join(self.folder.name, "elsewhere", "two")
        self.assertEqual(generate(other).returncode, 0)
        for name in FILES:
            self.assertEqual(read(self.out, name), read(other, name), name)
            self.assertNotIn(self.folder.name, read(self.out, name))

    def test_generated_c_compiles_without_warnings(self):
        for name in ("syscalls.c", "structs.c", "sets.c", "capture.c"):
            done = self.compile("-c", os.path.join(self.out, name), "-o", "/dev/null")
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_capture_is_freestanding(self):
        done = self.compile("-ffreestanding", "-c", os.path.join(self.out, "capture.c"), "-o",
                            os.path.join(self.folder.name, "capture.o"))
        self.assertEqual(done.returncode, 0, done.stderr)
        names = subprocess.run(["nm", "-u", os.path.join(self.folder.name, "capture.o")],
                               capture_output=True, text=True, check=True)
        self.assertEqual(names.stdout.strip(), "")

    def test_set_values_are_those_of_the_headers(self):
        import tables_sets
        checked = 0
        sets = tables_sets.parse(os.path.join(GEN, "sets"), "sets")
        problems = []
        for headers in sorted({item.headers for item in sets.values()}):
            source = "#define _GNU_SOURCE\n" + "".join("#include <%s>\n" % header for header in headers)
            source += '#include "sets.c"\n'
            path = os.path.join(self.folder.name, "check.c")
            with open(path, "w", encoding="utf-8") as out:
                out.write(source)
            done = self.compile("-w", "-fsyntax-only", path, language="gnu11")
            if done.returncode:
                problems.append("%s: %s" % (headers, done.stderr[:800]))
            checked += 1
        self.assertEqual(problems, [])
        self.assertGreater(checked, 40)
        asserts = read(self.out, "sets.c").count("_Static_assert(")
        self.assertGreater(asserts, 500)

    def bad_annotation(self, text):
        path = os.path.join(self.folder.name, "annotations")
        lines = [line for line in read(GEN, "annotations").splitlines() if line.startswith(("use ", "prototype "))]
        with open(path, "w", encoding="utf-8") as out:
            out.write("\n".join(lines + [text]) + "\n")
        done = generate(os.path.join(self.folder.name, "bad"), "--annotations", path)
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stderr.startswith("annotations:%d: " % (len(lines) + 1)), done.stderr)
        return done.stderr

    def test_unknown_syscall_fails_at_its_line(self):
        self.assertIn("unknown syscall `opne`", self.bad_annotation("opne(fd: fd) -> int"))

    def test_unknown_argument_fails_at_its_line(self):
        self.assertIn("`handle`", self.bad_annotation("close(handle: fd) -> int"))

    def test_wrong_argument_order_fails_at_its_line(self):
        self.assertIn("`buf`", self.bad_annotation("write(buf: buffer[count], fd: fd, count: ulong) -> int"))

    def test_wrong_number_of_arguments_fails_at_its_line(self):
        self.assertIn("3 arguments, 2", self.bad_annotation("write(fd: fd, buf: addr) -> int"))

    def test_unknown_set_fails_at_its_line(self):
        self.assertIn("unknown set", self.bad_annotation("access(filename: path, mode: flags(nosuch)) -> int"))

    def test_unknown_struct_fails_at_its_line(self):
        self.assertIn("unknown struct", self.bad_annotation("sysinfo(info: out struct(nosuch)) -> int"))

    def test_unknown_length_argument_fails_at_its_line(self):
        self.assertIn("unknown argument", self.bad_annotation("write(fd: fd, buf: buffer[size], count: ulong) -> int"))

    def test_unknown_kind_return_and_class_fail_at_their_line(self):
        self.assertIn("unknown kind", self.bad_annotation("close(fd: handle) -> int"))
        self.assertIn("unknown return", self.bad_annotation("close(fd: fd) -> number"))
        self.assertIn("unknown class", self.bad_annotation("close(fd: fd) -> int : files"))

    def test_unknown_constant_fails_at_its_line(self):
        path = os.path.join(self.folder.name, "sets")
        with open(path, "w", encoding="utf-8") as out:
            text = read(GEN, "sets")
            out.write(text + 'more_flags <asm/fcntl.h> "O_???"\n\tO_CREAT\n\tO_NO_SUCH_FLAG\n')
        done = generate(os.path.join(self.folder.name, "bad"), "--sets", path)
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stderr.startswith("sets:%d: " % (len(text.splitlines()) + 3)), done.stderr)

    def test_every_syscall_is_annotated(self):
        self.assertIn(" 0 not;", read(self.out, "coverage.txt").splitlines()[0])

    def test_openat_row(self):
        self.assertEqual(self.row("openat")[:4], [
            '[257] = { "openat", 4, 4, RET_FD, 1, CLASS_FILE | CLASS_DESC, {',
            '{ "dfd", "int", ARG_DIRFD, DIR_IN, STRUCT_NONE, LEN_NONE, 0, 0, 0 },',
            '{ "filename", "const char *", ARG_PATH, DIR_IN, STRUCT_NONE, LEN_NONE, 0, 0, 0 },',
            '{ "flags", "int", ARG_FLAGS, DIR_IN, STRUCT_NONE, LEN_NONE, 0, 0, &set_open_flags },'])

    def test_read_row_prints_only_the_descriptor_at_entry(self):
        self.assertEqual(self.row("read")[0], '[0] = { "read", 3, 1, RET_INT, 1, CLASS_DESC, {')
        self.assertEqual(self.row("read")[2],
                         '{ "buf", "char *", ARG_BUFFER, DIR_OUT, STRUCT_NONE, LEN_RET, 0, 0, 0 },')

    def test_struct_sizes_are_the_kernels(self):
        for name, index, size in (("fstat", 2, 144), ("rt_sigaction", 2, 32), ("statx", 5, 256), ("uname", 1, 390),
                                  ("wait4", 4, 144), ("epoll_wait", 2, 12), ("prlimit64", 3, 16), ("poll", 1, 8),
                                  ("sysinfo", 1, 112), ("statfs", 2, 120), ("clone3", 1, 88)):
            self.assertIn(", %d, 0 }" % size, self.row(name)[index], name)

    def test_exit_group_returns_nothing(self):
        self.assertIn("RET_VOID", self.row("exit_group")[0])

    def test_capture_golden_rows(self):
        self.assertEqual(self.ops("openat"), [
            "0, CAPTURE_FDPATH, PHASE_ENTRY, LEN_NONE, 0, 0, 0", "1, CAPTURE_PATH, PHASE_ENTRY, LEN_NONE, 0, 0, 0",
            "PIECE_ARG_RET, CAPTURE_FDPATH, PHASE_EXIT, LEN_NONE, 0, 0, 0"])
        self.assertEqual(self.ops("read"), [
            "0, CAPTURE_FDPATH, PHASE_ENTRY, LEN_NONE, 0, 0, 0", "1, CAPTURE_BUFFER, PHASE_EXIT, LEN_RET, 0, 0, 0"])
        self.assertEqual(self.ops("write")[1], "1, CAPTURE_BUFFER, PHASE_ENTRY, LEN_ARG, 2, 0, 0")
        self.assertEqual(self.ops("getdents64")[1], "1, CAPTURE_ARRAY, PHASE_EXIT, LEN_RET, 0, 0, 1")
        self.assertEqual(self.ops("execve"), [
            "0, CAPTURE_PATH, PHASE_ENTRY, LEN_NONE, 0, 0, 0", "1, CAPTURE_STRINGV, PHASE_ENTRY, LEN_NONE, 0, 33, 0",
            "2, CAPTURE_STRINGV, PHASE_ENTRY, LEN_NONE, 0, 255, 1"])
        self.assertEqual(self.ops("accept"), [
            "0, CAPTURE_FDPATH, PHASE_ENTRY, LEN_NONE, 0, 0, 0", "2, CAPTURE_LEN, PHASE_ENTRY, LEN_NONE, 0, 0, 0",
            "1, CAPTURE_SOCKADDR, PHASE_EXIT, LEN_ARG_PTR, 2, 0, 0", "2, CAPTURE_FIXED, PHASE_EXIT, LEN_NONE, 0, 0, 4",
            "PIECE_ARG_RET, CAPTURE_FDPATH, PHASE_EXIT, LEN_NONE, 0, 0, 0"])
        self.assertEqual([op.split(", ")[1:3] for op in self.ops("poll")],
                         [["CAPTURE_ARRAY", "PHASE_ENTRY"], ["CAPTURE_ARRAY", "PHASE_EXIT"]])


if __name__ == "__main__":
    unittest.main()
