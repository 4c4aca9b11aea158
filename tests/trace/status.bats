#!/usr/bin/env bats
# vtrace ends as the program ends; signals reach the program; the trace is whole after any end.

load helpers

@test "the exit status is the program's" {
	for expected in 0 1 3 42 125 255; do
		run "$VTRACE" -o /dev/null sh -c "exit $expected"
		[ "$status" -eq "$expected" ]
		[ "$output" = "" ]
	done
}

# How a command died, seen by its parent: "exit N" or "signal N".
ending() {
	/usr/bin/python3 - "$@" <<'PY'
import subprocess, sys
code = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
print("signal %d" % -code if code < 0 else "exit %d" % code)
PY
}

@test "if the program dies of a signal, so does vtrace" {
	for signal in TERM:15 KILL:9 SEGV:11 ABRT:6 HUP:1 USR1:10 PIPE:13; do
		[ "$(ending "$VTRACE" -o t.txt sh -c "kill -${signal%:*} \$\$")" = "signal ${signal#*:}" ]
		grep -q "+++ killed by SIG${signal%:*}" t.txt
	done
}

@test "a killed program leaves a complete JSON document, the call it died in included" {
	run "$VTRACE" -o t.json sh -c 'kill -KILL $$'
	complete t.json
	jq -e 'any(.events[]; .type == "exit" and (.signal == "SIGKILL" or .signal.name? == "SIGKILL"))' t.json
	jq -e 'any(.events[]; .name == "kill")' t.json
}

# signalled NAME: traces a program that handles SIGNAME and then exits with 6; sends the signal to vtrace once it is up.
signalled() {
	rm -f up seen t.json
	/usr/bin/python3 - "$VTRACE" "$1" <<'PY'
import os, signal, subprocess, sys
number = getattr(signal, "SIG" + sys.argv[2])
os.mkfifo("up")
program = """import os, signal
def handler(number, frame):
    open("seen", "w").write(str(number))
    os._exit(6)
signal.signal(%d, handler)
open("up", "w").write("up")
while True:
    os.getppid() # not pause(): a signal just before it would be waited for in vain, traced or not
""" % number
child = subprocess.Popen([sys.argv[1], "-f", "-o", "t.json", "/usr/bin/python3", "-c", program])
open("up").read()
child.send_signal(number)
assert child.wait(timeout=30) == 6, child.returncode
assert open("seen").read() == str(int(number))
PY
	complete t.json
}

@test "SIGTERM to vtrace reaches the program, and the JSON is complete" { signalled TERM; }
@test "SIGINT to vtrace reaches the program, and the JSON is complete" { signalled INT; }
@test "SIGHUP to vtrace reaches the program, and the JSON is complete" { signalled HUP; }

@test "SIGTERM to vtrace ends a program that does not handle it, and the JSON is complete" {
	/usr/bin/python3 - "$VTRACE" <<'PY'
import os, signal, subprocess, sys
os.mkfifo("up")
child = subprocess.Popen([sys.argv[1], "-f", "-o", "t.json", "sh", "-c", "echo up >up; exec sleep 1000"])
open("up").read()
child.send_signal(signal.SIGTERM)
assert child.wait(timeout=30) == -signal.SIGTERM, child.returncode
PY
	complete t.json
	jq -e 'any(.events[]; .type == "signal")' t.json
}

@test "when the front is killed with SIGKILL the program finishes unharmed" {
	/usr/bin/python3 - "$VTRACE" <<'PY'
import os, signal, subprocess, sys
os.mkfifo("up"), os.mkfifo("go"), os.mkfifo("done")
program = """echo up >up; read x <go
i=0; while [ $i -lt 200 ]; do cat /etc/passwd >/dev/null || exit 9; i=$((i+1)); done
ls / >/dev/null && echo fine >done"""
child = subprocess.Popen([sys.argv[1], "-f", "-o", "t.txt", "sh", "-c", program])
open("up").read()
child.kill() # Popen's child is the front: the keeper is its child
child.wait()
open("go", "w").write("x\n")
assert open("done").read() == "fine\n"
PY
}

@test "the program's pid as \$! sees it has no traces left: no fd, no environment" {
	"$VTRACE" -f -o /dev/null sh -c 'ls -l /proc/self/fd; env' >traced </dev/null
	sh -c 'ls -l /proc/self/fd; env' >native </dev/null
	grep -c -- '->' native >a
	grep -c -- '->' traced >b
	diff a b
	diff <(grep = native | grep -v ' -> \|^_=' | sort) <(grep = traced | grep -v ' -> \|^_=' | sort)
}
