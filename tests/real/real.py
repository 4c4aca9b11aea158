#!/usr/bin/python3
"""Real programs under vtrace: the same output and exit status as untraced, and a complete trace.

    real.py --vtrace PATH NAME    one of the programs below; exit status 77 with the reason where it is not installed
    real.py --list [--heavy]      the names; --heavy: those whose packages only ./test.sh --all installs

A program is a shell script, run in a fresh directory, that prints the same thing each time."""
import argparse
import collections
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile

SKIP = 77
LIMIT = 300  # seconds
# dispatch: LeakSanitizer traces threads from a task that CLONE_UNTRACED hides from a tracer; only the agent takes that flag away
Program = collections.namedtuple("Program", "needs script heavy files dispatch", defaults=(False, {}, False))

GO = """package main
import ("fmt"; "io"; "net/http"; "net/http/httptest"; "os/exec"; "sync")
func main() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hi") }))
	defer server.Close()
	var wait sync.WaitGroup
	for i := 0; i < 8; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for j := 0; j < 25; j++ {
				reply, err := http.Get(server.URL)
				if err != nil { panic(err) }
				text, _ := io.ReadAll(reply.Body)
				reply.Body.Close()
				if string(text) != "hi" { panic(text) }
			}
		}()
	}
	wait.Wait()
	for i := 0; i < 20; i++ {
		if err := exec.Command("/bin/true").Run(); err != nil { panic(err) }
	}
	fmt.Println("done")
}
"""
NODE = """const http = require('http'), { execFileSync } = require('child_process');
const server = http.createServer((request, reply) => reply.end('ok')).listen(0, '127.0.0.1', async () => {
	for (let i = 0; i < 50; i++)
		await new Promise(done => http.get({ port: server.address().port, host: '127.0.0.1' },
			reply => { reply.resume(); reply.on('end', done); }));
	console.log(execFileSync('/bin/echo', ['child']).toString().trim());
	process.exit(0);
});
"""
JAVA = """public class Threads {
	public static void main(String[] arguments) throws Exception {
		Thread[] threads = new Thread[6];
		final long[] sums = new long[6];
		for (int i = 0; i < 6; i++) {
			final int k = i;
			threads[i] = new Thread(() -> { for (int j = 0; j < 300; j++) sums[k] += new byte[200000].length; });
			threads[i].start();
		}
		long sum = 0;
		for (int i = 0; i < 6; i++) { threads[i].join(); sum += sums[i]; }
		System.gc();
		System.out.println(sum);
	}
}
"""
THREADS = """#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static void *work(void *a) { char *p = malloc(100); p[0] = 1; free(p); return a; }
int main(void)
{
	pthread_t threads[4];
	for (int i = 0; i < 4; i++) pthread_create(threads + i, NULL, work, NULL);
	for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
	puts("done");
	return 0;
}
"""
# A server, its client, its end.
REDIS = """redis-server --port 0 --unixsocket $PWD/s --save "" --daemonize no >log & server=$!
until redis-cli -s s ping >pong 2>&1 && grep -q PONG pong; do :; done
redis-benchmark -s s -q -n 2000 -c 10 -t set,get >bench && grep -c requests bench
redis-cli -s s dbsize; redis-cli -s s shutdown nosave; wait $server; echo $?"""
NGINX = """mkdir logs; printf 'daemon off; master_process on; worker_processes 2; pid p; error_log e; events {}
http { access_log off; client_body_temp_path b; proxy_temp_path b; fastcgi_temp_path b; uwsgi_temp_path b; scgi_temp_path b;
server { listen unix:%s/s; location / { return 200 hello; } } }' "$PWD" >conf
nginx -p "$PWD" -c conf & server=$!
until curl -s --unix-socket s http://h/ >out; do :; done
cat out; echo; for i in 1 2 3 4 5 6 7 8 9 10; do curl -s --unix-socket s http://h/; done; echo
kill -QUIT $server; wait $server; echo $?"""
# wrk speaks TCP only: nginx takes a port that is free, and tries another when it was taken meanwhile.
WRK = """mkdir logs; until [ -s p ]; do
port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
printf 'daemon off; master_process on; worker_processes 2; pid p; error_log e; events {}
http { access_log off; client_body_temp_path b; proxy_temp_path b; fastcgi_temp_path b; uwsgi_temp_path b; scgi_temp_path b;
server { listen 127.0.0.1:%s; location / { return 200 hello; } } }' $port >conf
nginx -p "$PWD" -c conf & server=$!; until [ -s p ] || ! kill -0 $server; do :; done; done
wrk -t2 -c8 -d1s http://127.0.0.1:$port/ >load; grep -c 'requests in' load; grep -E 'Socket errors|Non-2xx' load
kill -QUIT $server; wait $server; echo $?"""
# What they run they trace, inside as outside.
DEBUGGER = """gcc -g -pthread t.c -o t && gdb -nx -batch -ex 'break work' -ex run -ex delete -ex 'break puts' -ex continue -ex 'p 6*7' \
-ex continue ./t >log 2>&1; echo $?; grep -oE 'hit Breakpoint [0-9]|^done|exited normally|^.1 = 42' log"""
STRACE = """strace -f -o log sh -c 'echo one; (echo two | cat); exit 3'; echo $?; grep -c '^[0-9]* *write(1' log; grep -c '+++ exited with' log"""
VTRACE = """$VTRACE -f -o log sh -c 'echo one; (echo two | cat); exit 3'; echo $?; grep -c 'write(1' log; grep -c '+++ exited with' log"""
PYTHON_TESTS = "test_subprocess test_threading test_signal test_os test_socket test_mmap test_posix"
PYTHON_LIGHT = ("MmapTests ContextManagerTests *.POSIXProcessTestCase.test_*signal* *.POSIXProcessTestCase.test_*preexec* "
                "InterruptMainTests SubinterpThreadingTests *.ThreadTests.test_*foreign* *.ThreadTests.test_main_thread* "
                "RaiseSignalTest WakeupFDTests *.PendingSignalsTests.test_pthread* ExecTests PidTests FDInheritanceTests "
                "EventfdTests TestSendfile PosixUidGidTests TestPosixSpawn TestPosixDirFd BasicTCPTest BasicSocketPairTest "
                "SendmsgUnixStreamTest RecvmsgSCMRightsStreamTest InterruptedRecvTimeoutTest")
HERE = os.path.dirname(os.path.abspath(__file__))


def script(name, *arguments):
    return "sh " + shlex.join([os.path.join(HERE, name), *arguments])


def python_tests(*arguments, heavy=False):
    return Program("/usr/bin/python3", script("python.sh", *arguments), heavy)


PROGRAMS = {
    "git_clone": Program("git", """git init -q a; cd a; for i in 1 2 3; do echo $i >$i; git add .
git -c user.name=a -c user.email=a@b commit -qm $i; done; cd ..; git clone -q a b; git -C b log --format=%s; ls b"""),
    "make": Program("make gcc ar", """for i in 1 2 3 4 5 6 7 8; do echo "int f$i(void) { return $i; }" >f$i.c; done
printf 'lib.a: $(patsubst %%.c,%%.o,$(wildcard *.c))\\n\\tar rcs $@ $^\\n' >Makefile; make -s -j4; ls"""),
    "sqlite": Program("sqlite3", """for i in 1 2 3 4 5; do echo "create table if not exists t(a); insert into t values($i);"; done |
sqlite3 d; sqlite3 d 'select count(*), sum(a) from t'"""),
    "valgrind": Program("valgrind", "valgrind -q /bin/echo hi"),
    "busybox": Program("busybox", "busybox sh -c 'for i in 1 2 3; do busybox echo $i; done | busybox wc -l'"),
    "bubblewrap": Program("bwrap", "bwrap --ro-bind / / --unshare-all --die-with-parent /bin/echo sandboxed"),
    "asan": Program("gcc", "gcc -fsanitize=address -g t.c -o t -pthread && ./t", files={"t.c": THREADS},
                    dispatch=True),
    "tsan": Program("gcc", "gcc -fsanitize=thread -g t.c -o t -pthread && ./t", files={"t.c": THREADS}),
    "redis": Program("redis-server redis-cli redis-benchmark", REDIS),
    "nginx": Program("nginx curl", NGINX),
    "nginx_wrk": Program("nginx wrk", WRK),
    "sshd": Program("sshd ssh ssh-keygen", script("sshd.sh")),
    "postgres": Program("pg_ctlcluster setpriv", script("postgres.sh")),
    "gdb": Program("gdb gcc", DEBUGGER, files={"t.c": THREADS}),
    "strace": Program("strace", STRACE),
    "vtrace": Program("sh", VTRACE),
    "python": python_tests(*(word for name in PYTHON_LIGHT.split() for word in ("-m", name)), *PYTHON_TESTS.split()),
    **{"python_" + name: python_tests(name, heavy=True) for name in PYTHON_TESTS.split()},
    "chromium": Program("chromium setpriv", script("chromium.sh"), True),
    "go_static": Program("go", "HOME=$PWD GO111MODULE=off CGO_ENABLED=0 go build -o h h.go && ./h", True, {"h.go": GO}),
    "go_cgo": Program("go gcc", "HOME=$PWD GO111MODULE=off CGO_ENABLED=1 go build -o h h.go && ./h", True, {"h.go": GO}),
    "node": Program("node", "node s.js", True, {"s.js": NODE}),
    "java": Program("java javac", "javac Threads.java && java -Xmx64m -cp . Threads", True, {"Threads.java": JAVA}),
}


SERVERS = ":/usr/sbin:/sbin"
os.environ["PATH"] += SERVERS


def missing(program):
    return " ".join(need for need in program.needs.split() if not shutil.which(need))


def write_files(program, directory):
    for name, text in program.files.items():
        with open(os.path.join(directory, name), "w", encoding="ascii") as file:
            file.write(text)


def run(program, tracer):
    """(stdout, status)"""
    with tempfile.TemporaryDirectory(prefix="vtrace-real.") as directory:
        write_files(program, directory)
        done = subprocess.run([*tracer, "sh", "-c", program.script], cwd=directory, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT, check=False)
        return done.stdout, done.returncode


def problems(name, vtrace, native):
    with tempfile.TemporaryDirectory(prefix="vtrace-real-trace.") as directory:
        trace = os.path.join(directory, "t.jsonl")
        traced = run(PROGRAMS[name], [vtrace, "-f", "-o", trace])
        with open(trace, encoding="utf-8", errors="surrogateescape") as file:
            last = json.loads(collections.deque(file, 1)[0])
    if native[1] != 0:
        yield "it fails untraced (%d): %s" % (native[1], native[0].decode(errors="replace")[-500:])
    if traced != native:
        yield "untraced (%d):\n%s\ntraced (%d):\n%s" % (native[1], native[0].decode(errors="replace"),
                                                     traced[1], traced[0].decode(errors="replace"))
    if last.get("type") != "footer" or not last["complete"] or last["lost"]:
        yield "the trace is not complete: %s" % last


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vtrace", default="build/vtrace")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--heavy", action="store_true")
    parser.add_argument("name", nargs="?", choices=PROGRAMS)
    args = parser.parse_args()
    if args.list:
        print("\n".join(name for name, program in PROGRAMS.items() if program.heavy == args.heavy))
        return 0
    program = PROGRAMS[args.name]
    os.environ["VTRACE"] = os.path.abspath(args.vtrace)
    if missing(program):
        print("skipped: not installed: " + missing(program) + (" (./test.sh --all installs it)" if program.heavy else ""))
        return SKIP
    if program.dispatch:
        os.environ.pop("VTRACE_LAYERS", None)
    native = run(program, [])
    if native[1] == SKIP:
        print(native[0].decode(errors="replace"))
        return SKIP
    found = list(problems(args.name, os.path.abspath(args.vtrace), native))
    print("\n".join(found) if found else args.name + ": the same")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
