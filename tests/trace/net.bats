#!/usr/bin/env bats
# What the seccomp net adds: calls that no other layer sees, and other tracers inside the traced program.

load helpers

build() {
	printf '%s\n' "$2" >"$1.c"
	cc -g -o "$1" "$1.c"
}

hello='#include <stdio.h>
int main(void) { puts("hello"); return 3; }'

@test "calls of the vsyscall page appear once, with results, caught by the net" {
	grep -q vsyscall /proc/self/maps || skip "this kernel has no vsyscall page"
	build vsyscall '
#include <stdio.h>
#include <sys/time.h>
int main(void)
{
	long (*now)(long *) = (long (*)(long *))0xffffffffff600400;
	int (*day)(struct timeval *, void *) = (int (*)(struct timeval *, void *))0xffffffffff600000;
	struct timeval at;
	long first = now(NULL);
	int got = day(&at, NULL);
	printf("%d %d\n", first > 0, got == 0 && at.tv_sec >= first);
	return 0;
}'
	"$VTRACE" -f -o t.json ./vsyscall >out.txt
	[ "$(cat out.txt)" = "1 1" ]
	valid t.json
	[ "$(jq -c '[.events[] | select(.caught == "net") | .name]' t.json)" = '["time","gettimeofday"]' ]
	[ "$(jq '[.events[] | select(.caught == "net" and .raw)] | length' t.json)" = 2 ]
	[ "$(jq '.events[] | select(.caught == "net" and .name == "time") | .ret.value > 1600000000' t.json)" = true ]
}

@test "--no-net puts no filter on the program, -f alone does" {
	"$VTRACE" -f -o t.txt grep -c 'Seccomp:.*2' /proc/self/status
	run "$VTRACE" -f --no-net -o t.txt grep -c 'Seccomp:.*2' /proc/self/status
	[ "$output" = 0 ]
	run "$VTRACE" -o t.txt grep -c 'Seccomp:.*2' /proc/self/status
	[ "$output" = 0 ]
}

@test "gdb works inside, on a program that stops at a breakpoint" {
	build hello "$hello"
	"$VTRACE" -f -o t.json gdb -q -nx -batch -ex 'break main' -ex run -ex next -ex continue ./hello >out.txt 2>&1
	grep -q 'Breakpoint 1, main' out.txt
	grep -q '^hello' out.txt
	grep -q 'exited with code 03' out.txt
	valid t.json
	[ "$(jq '[.events[] | select(.name == "execve" and .caught == "net" and (.args[0].value | endswith("/hello")))] | length' t.json)" -ge 1 ]
	jq -r '.events[] | select(.type == "note") | .text' t.json | grep -q 'another tracer'
}

@test "gdb attaches to a traced process" {
	build sleeper '
#include <stdio.h>
#include <unistd.h>
int main(void)
{
	char byte;
	printf("%d\n", getpid());
	fflush(stdout);
	return read(0, &byte, 1) != 1;
}'
	printf '%s\n' 'exec 3>&1; mkfifo in out; ./sleeper <in >out & exec 4>in 5<out; read -r pid <&5' \
		'gdb -q -nx -batch -p "$pid" -ex bt -ex detach >gdb.txt 2>&1; echo >&4; wait $!; echo "status $?"' >attach.sh
	"$VTRACE" -f -o t.json sh attach.sh >out.txt
	grep -q 'in main' gdb.txt
	[ "$(cat out.txt)" = "status 0" ]
	valid t.json
}

@test "strace works inside and sees what it sees outside" {
	build hello "$hello"
	run "$VTRACE" -f -o t.json strace -o inner.txt ./hello
	[ "$status" = 3 ]
	strace -o outer.txt ./hello || true
	[ "$(grep -c '' inner.txt)" = "$(grep -c '' outer.txt)" ]
	grep -q '+++ exited with 3 +++' inner.txt
	valid t.json
}

@test "vtrace works inside vtrace" {
	build hello "$hello"
	run "$VTRACE" -f -o t.json "$VTRACE" -f -o inner.txt ./hello
	[ "$status" = 3 ]
	grep -q 'write(1, "hello\\n", 6)  *= 6' inner.txt
	grep -q '+++ exited with 3 +++' inner.txt
	grep -q 'no seccomp net' inner.txt
	valid t.json
}

@test "a program that asks to be traced by its parent, which is no tracer, behaves as under strace" {
	build traceme '
#include <stdio.h>
#include <sys/ptrace.h>
int main(void) { printf("%ld\n", ptrace(PTRACE_TRACEME, 0, 0, 0)); return 0; }'
	[ "$("$VTRACE" -f -o t.txt ./traceme)" = "$(strace -f -o s.txt ./traceme)" ]
}

@test "VTRACE_LAYERS with an unknown layer is refused" {
	VTRACE_LAYERS=dispatch,nets run "$VTRACE" true
	[ "$status" = 2 ]
	matches "$output" "unknown layer 'nets'"
}

@test "where the keeper can have no second thread, it answers the net itself" {
	echo 'int pthread_create(void *a, void *b, void *c, void *d) { return 11; /* EAGAIN */ }' |
		gcc -shared -fPIC -Wno-builtin-declaration-mismatch -x c - -o no_thread.so
	LD_PRELOAD=$PWD/no_thread.so run -0 "$VTRACE" -f -E LD_PRELOAD -o t.json "$TORTURE/ptrace_own"
	[ "$output" = "ptrace_own: ok" ]
	valid t.json
	jq -e '.footer.complete and .footer.calls.net > 20' t.json
}
