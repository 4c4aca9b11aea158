#!/usr/bin/python3
"""gen/gen_libc.py: what it finds in a library, that it repeats itself, and how it refuses bad input."""
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GENERATOR = os.path.join(ROOT, "gen", "gen_libc.py")
OUTPUTS = ["libc_functions.c", "libc_report.txt", "vloader.conf", "wrappers.c", "wrappers.h"]

FIXTURE = r"""
long read(int fd, void *buffer, unsigned long count)
{
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(0), "D"(fd), "S"(buffer), "d"(count) : "rcx", "r11", "memory");
	return result;
}
long same_as_read(int, void *, unsigned long) __attribute__((alias("read")));

static __attribute__((noinline)) long inner(long number)
{
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(number) : "rcx", "r11", "memory");
	return result;
}
long forwards(int fd, void *buffer) { return same_as_read(fd, buffer, 1) + 1; }
long jumps_inside(long number) { return inner(number); }
int adds(int a, int b) { return a + b; }
int calls_adds(int a) { return adds(a, 1) * 2; }

/* A system call, and what nobody can follow. */
int works_indirectly(int (*work)(int, int)) { return work(1, 2) + 1; }
int works(int a)
{
	int i;
	for (i = 0; i < a; i++) {
		a ^= adds(a, i);
		read(0, &i, 4);
		a += calls_adds(a) + works_indirectly(adds);
	}
	return a;
}

__attribute__((noreturn)) void dies(void) { for (;;) read(0, 0, 0); }
int checks(int a) { if (a > 100) dies(); return a; }

/* The pattern of a vDSO call in glibc. */
struct { long before[4]; int (*vdso)(long); } _rtld_global_ro;
int asks_vdso(long a) { return _rtld_global_ro.vdso ? _rtld_global_ro.vdso(a) + 1 : -38; }
int asks_loader(long a) { return _rtld_global_ro.vdso(a) + 1; }

int private_call(void) { return read(0, 0, 1); }

/* What the vDSO is asked for: constants whose address is taken, named after system calls. */
__attribute__((noinline)) void *look_up(const char *name) { return read(0, (void *)name, 1) ? (void *)name : 0; }
void *finds_getcpu(void) { return look_up("__vdso_getcpu"); }
void *finds_open(void) { return look_up("__vdso_openat"); }
void *finds_no_syscall(void) { return look_up("__vdso_nonsense"); }
void *finds_no_vdso(void) { return look_up("x__vdso_close"); }
const char nobody_asks[] = "__vdso_read";
"""
VERSIONS = "VERSION_1 { global: *; }; GLIBC_PRIVATE { global: private_call; } VERSION_1;\n"


def generate(out, *arguments):
    return subprocess.run(["/usr/bin/python3", GENERATOR, "--out", out, *arguments], capture_output=True, text=True,
                          check=False)


def read_text(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as stream:
        return stream.read()


def read_all(folder):
    return {name: read_text(folder, name) for name in sorted(os.listdir(folder))}


class FixtureLibrary(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        path = cls.folder.name
        for name, text in (("fixture.c", FIXTURE), ("fixture.map", VERSIONS)):
            with open(os.path.join(path, name), "w", encoding="utf-8") as stream:
                stream.write(text)
        subprocess.run(["gcc", "-O2", "-fPIC", "-fno-semantic-interposition", "-fno-inline", "-fno-ipa-cp", "-shared",
                        "-nostdlib", "-Wl,--version-script=fixture.map", "-Wl,-soname,libfixture.so.1",
                        "-o", "fixture.so", "fixture.c"], check=True, cwd=path)
        cls.library = os.path.join(path, "fixture.so")
        cls.out = os.path.join(path, "out")
        cls.done = generate(cls.out, "--libc", cls.library)
        cls.files = read_all(cls.out) if cls.done.returncode == 0 else {}
        cls.names = [line.strip()[1:-2] for line in cls.files.get("libc_functions.c", "").split("\n")
                     if line.startswith('\t"')]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def reported(self, name):
        lines = self.files["libc_report.txt"].split("Every function")[1].split("\n")
        return next(" ".join(line.split()[1:]) for line in lines if line.split()[:1] == [name])

    def test_runs_and_says_nothing(self):
        self.assertEqual((self.done.returncode, self.done.stdout, self.done.stderr), (0, "", ""))
        self.assertEqual(sorted(self.files), OUTPUTS)

    def test_a_function_with_a_syscall_instruction_is_found(self):
        self.assertTrue(self.reported("read").startswith("syscall instruction; prototype <unistd.h>"))

    def test_an_alias_is_found_and_typed_as_what_it_is_an_alias_of(self):
        self.assertIn("the same code as read", self.reported("same_as_read"))

    def test_a_forwarder_is_found_with_what_it_forwards_to(self):
        self.assertTrue(self.reported("forwards").startswith("forwards to read"))

    def test_a_forwarder_to_internal_code_is_found(self):
        self.assertTrue(self.reported("jumps_inside").startswith("forwards to internal code"))

    def test_a_vdso_call_is_found(self):
        self.assertTrue(self.reported("asks_vdso").startswith("vdso"))

    def test_a_pointer_that_is_never_null_is_not_the_vdso(self):
        self.assertNotIn("asks_loader", self.names)

    def test_functions_without_system_calls_are_not_found(self):
        for name in ("adds", "calls_adds"):
            self.assertNotIn(name, self.names)

    def test_a_function_that_also_calls_what_is_not_a_syscall_function_does_not_forward(self):
        self.assertNotIn("works", self.names)

    def test_an_error_exit_is_not_forwarding(self):
        self.assertNotIn("checks", self.names)

    def test_a_private_function_is_left_out_and_reported(self):
        self.assertNotIn("private_call", self.names)
        self.assertIn("private_call", self.files["libc_report.txt"].split("Left out")[1].split("More than")[0])

    def test_an_unknown_prototype_has_its_reason(self):
        self.assertIn("/* prototype not known: no public header declares it */\nWRAPPER(%d, forwards)\n" %
                      self.names.index("forwards"), self.files["wrappers.c"])

    def test_a_known_prototype_is_the_comment(self):
        self.assertIn("/* ssize_t read(int fd, void *buf, size_t nbytes); */\nWRAPPER(%d, read)\n" %
                      self.names.index("read"), self.files["wrappers.c"])

    def test_names_are_sorted_and_indexes_agree(self):
        self.assertEqual(self.names, sorted(set(self.names)))
        wrappers = [line for line in self.files["wrappers.c"].split("\n") if line.startswith("WRAPPER(")]
        self.assertEqual(wrappers, ["WRAPPER(%d, %s)" % pair for pair in enumerate(self.names)])
        self.assertIn("#define WRAPPER_COUNT %d\n" % len(self.names), self.files["wrappers.h"])

    def test_what_the_vdso_is_asked_for_is_found_in_the_code(self):
        wrappers = [line for line in self.files["wrappers.c"].split("\n") if line.startswith("VDSO_WRAPPER(")]
        self.assertEqual(wrappers, ["VDSO_WRAPPER(0, __vdso_getcpu)", "VDSO_WRAPPER(1, __vdso_openat)"])
        self.assertIn("const int32_t vdso_numbers[] = {\n\t309,\n\t257,\n};\n", self.files["wrappers.c"])
        self.assertIn("#define VDSO_COUNT 2\n", self.files["wrappers.h"])
        self.assertIn("looked up in the vDSO: __vdso_getcpu, __vdso_openat\n", self.files["libc_report.txt"])

    def test_redirects_go_both_ways(self):
        self.assertIn("read -> virt_read\nreal_read -> read\n", self.files["vloader.conf"])

    def test_no_path_of_this_host_is_in_the_output(self):
        for text in self.files.values():
            self.assertNotIn(self.folder.name, text)


class HostLibc(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.outs = [os.path.join(cls.folder.name, name) for name in ("first", "second")]
        cls.done = [generate(out) for out in cls.outs]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_two_runs_give_the_same_bytes(self):
        self.assertEqual([d.returncode for d in self.done], [0, 0], self.done[0].stderr)
        self.assertEqual(read_all(self.outs[0]), read_all(self.outs[1]))

    def test_each_way_of_finding_is_met_in_libc(self):
        report = read_text(self.outs[0], "libc_report.txt").split("Every function")[1]
        how = {line.split()[0]: line.split(None, 1)[1] for line in report.split("\n") if line.startswith("  ")}
        for name, start in (("read", "syscall instruction"), ("clock_gettime", "syscall instruction, vdso"),
                            ("stat", "forwards to fstatat"), ("gettimeofday", "IFUNC"), ("fork", "calls on to clone")):
            self.assertTrue(how[name].startswith(start), (name, how[name]))
        for name in ("malloc", "free", "rand", "memcpy", "strlen", "qsort", "__libc_early_init"):
            self.assertNotIn(name, how)

    def test_the_vdso_functions_of_libc_and_its_loader_are_found(self):
        report = read_text(self.outs[0], "libc_report.txt")
        line = next(line for line in report.split("\n") if line.startswith("looked up in the vDSO: "))
        self.assertLessEqual({"__vdso_time", "__vdso_gettimeofday", "__vdso_clock_gettime", "__vdso_clock_getres",
                              "__vdso_getcpu"}, set(line.split(": ")[1].split(", ")))

    def test_the_tables_compile_and_the_offsets_lead_to_the_names(self):
        program = ('#include <stdio.h>\n#include <string.h>\n#include "tables.h"\n#define WRAPPER(index, name)\n#define VDSO_WRAPPER(index, name)\n'
                   '#define VTRACE_AGENT_WRAPPER_H\n#include "wrappers.c"\n#include "libc_functions.c"\n'
                   "int main(void)\n{\n\tunsigned i;\n\tfor (i = 0; i < redirect_count; i++)\n"
                   "\t\tif (strcmp(redirect_names + redirect_offsets[i], libc_functions[i]) ||\n"
                   "\t\t    (i && strcmp(libc_functions[i - 1], libc_functions[i]) >= 0))\n\t\t\treturn 1;\n"
                   "\tfor (i = 0; i < VDSO_COUNT; i++)\n\t\tif (strncmp(vdso_names + vdso_offsets[i], \"__vdso_\", 7) || !vdso_numbers[i])\n"
                   "\t\t\treturn 1;\n"
                   "\treturn redirect_count != libc_functions_count || redirect_count < 300;\n}\n")
        binary = os.path.join(self.folder.name, "check")
        includes = ["-I" + self.outs[0], "-I" + os.path.join(ROOT, "tracer", "wire"),
                    "-I" + os.path.join(ROOT, "tracer", "agent")]
        subprocess.run(["gcc", "-std=c11", "-Wall", "-Werror", *includes, "-x", "c", "-o", binary, "-"], input=program,
                       text=True, check=True)
        self.assertEqual(subprocess.run([binary], check=False).returncode, 0)


class BadInput(unittest.TestCase):
    def refuse(self, library, words):
        with tempfile.TemporaryDirectory() as out:
            done = generate(out, "--libc", library)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertIn(words, done.stderr)
            self.assertEqual(os.listdir(out), [])

    def test_a_missing_library_is_one_line(self):
        self.refuse("/nonexistent/libc.so.6", "/nonexistent/libc.so.6: No such file or directory")

    def test_a_file_that_is_not_elf_is_one_line(self):
        self.refuse(os.path.abspath(__file__), "not an ELF library")

    def test_a_folder_is_one_line(self):
        self.refuse("/", "Is a directory")

    def test_an_object_of_another_kind_is_one_line(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.o")
            subprocess.run(["gcc", "-x", "c", "-c", "-o", path, "-"], input="int a;\n", text=True, check=True)
            self.refuse(path, "not an x86-64 shared library")

    def test_a_cut_library_is_one_line(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "cut.so")
            with open("/lib/x86_64-linux-gnu/libc.so.6", "rb") as whole, open(path, "wb") as cut:
                cut.write(whole.read(100000))
            self.refuse(path, "not an ELF library")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
