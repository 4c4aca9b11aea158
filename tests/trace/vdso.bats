#!/usr/bin/env bats
# What the vDSO answers, which strace cannot see: recorded with --vdso, exactly, and the program is unharmed.

load helpers
all_layers

asks_c='
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
int main(int argc, char **argv)
{
	struct timespec now = { 0, 0 };
	struct timeval day = { 0, 0 };
	unsigned cpu = ~0u, node = ~0u;
	int times = atoi(argv[1]);
	time_t (*by_name)(time_t *) = (time_t (*)(time_t *))dlsym(RTLD_DEFAULT, "time");

	for (int i = 0; i < times; i++) {
		time(NULL);
		gettimeofday(&day, NULL);
		gettimeofday(&day, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
		clock_gettime(CLOCK_TAI, &now);
		clock_gettime(CLOCK_BOOTTIME, &now);
		clock_getres(CLOCK_MONOTONIC, &now);
		getcpu(&cpu, &node);
		by_name(NULL);
	}
	printf("%d %d %d\n", (void *)by_name == (void *)time, time(NULL) - day.tv_sec <= 1, cpu < 4096);
	return 0;
}
'

# build NAME OPTIONS...
build() {
	echo "$asks_c" >asks.c
	gcc -w -o "$@" asks.c
}

# does the vDSO of this machine answer at all, or does it leave everything to the kernel?
setup_file() {
	cd "$BATS_FILE_TMPDIR"
	build probe
	strace -c -e trace=clock_gettime -o counts ./probe 1 >/dev/null
}

need_vdso() {
	! grep -q clock_gettime "$BATS_FILE_TMPDIR/counts" || skip "the vDSO does not answer here"
}

vdso_events() {
	jq -c --arg name "$1" '.events[] | select(.type == "vdso" and .name == $name)' t.json
}

# asks ARGS...: vtrace's; the program must print what it prints untraced
asks() {
	"$VTRACE" --vdso -o t.json "$@" ./asks 7 >out
	./asks 7 | diff - out
	[ "$(cat out)" = '1 1 1' ]
	# each by way of the function of its name, called by the program; seven of time by dlsym's address
	jq -r '.events[] | select(.type == "vdso" and .name == .via.function and (.via.object | endswith("/asks"))) | .name' \
		t.json | sort | uniq -c | xargs >counts
	cat counts
	[ "$(cat counts)" = '7 clock_getres 21 clock_gettime 7 getcpu 14 gettimeofday 15 time' ]
}

@test "lazy binding: each call is there, with function and caller" {
	need_vdso
	build asks -Wl,-z,lazy
	asks
	complete t.json
}

@test "LD_BIND_NOW: IFUNC symbols are resolved when the program is loaded" {
	need_vdso
	build asks -Wl,-z,lazy
	asks -E LD_BIND_NOW=1
}

@test "-z now, and without PLT" {
	need_vdso
	build asks -Wl,-z,now
	asks
	build asks -fno-plt
	asks
}

@test "a program at a fixed address" {
	need_vdso
	build asks -no-pie -fno-pie
	asks
}

@test "the loader asked for libraries only: resolvers are left alone where libc may not be ready" {
	build asks
	"$VTRACE" -E LD_TRACE_LOADED_OBJECTS=1 -E LD_WARN=yes -E LD_BIND_NOW=1 --vdso -o t.txt ./asks 1 >out
	grep -q 'libc.so.6' out
	grep -q 'exited with 0' t.txt
}

@test "a library opened late" {
	need_vdso
	echo '#include <time.h>
	long late(void) { return time(0) > 0; }' >late.c
	gcc -shared -fPIC -o late.so late.c
	echo '#include <dlfcn.h>
	int main(void) { return ((long (*)(void))dlsym(dlopen("./late.so", RTLD_NOW), "late"))() != 1; }' >opens.c
	gcc -o opens opens.c
	"$VTRACE" --vdso -o t.json ./opens
	vdso_events time | jq -e -s 'length == 1 and .[0].via.function == "time" and (.[0].via.object | endswith("/late.so"))'
}

@test "calls from inside libc are seen, by way of the function that was called" {
	need_vdso
	echo '#include <time.h>
	int main(void) { struct timespec now; return timespec_get(&now, TIME_UTC) != TIME_UTC; }' >inside.c
	gcc -o inside inside.c
	"$VTRACE" --vdso -o t.json ./inside
	vdso_events clock_gettime | jq -e -s 'length == 1 and .[0].via.function == "timespec_get"'
}

@test "values and times are those of the call" {
	need_vdso
	echo '#include <stdio.h>
	#include <time.h>
	int main(void) { struct timespec now; clock_gettime(CLOCK_REALTIME, &now);
		printf("%lld %ld\n", (long long)now.tv_sec, now.tv_nsec); return 0; }' >says.c
	gcc -o says says.c
	"$VTRACE" --vdso -o t.json ./says >out
	vdso_events clock_gettime | jq -r '.args[1].value | "\(.tv_sec) \(.tv_nsec)"' | diff - out
	vdso_events clock_gettime | jq -e '.site == null and .raw == false and .caught == "wrapper" and .state == "done" and
		.ret.value == 0 and .nr == 228 and .dur < 1000000000'
}

@test "text marks them, and has none without the option" {
	need_vdso
	build asks
	"$VTRACE" --vdso -o t.txt ./asks 1 >/dev/null
	grep -Eq '^clock_gettime\(CLOCK_MONOTONIC, \{tv_sec=[0-9]+, tv_nsec=[0-9]+\}\) = 0 <vdso>$' t.txt
	grep -Eq '^time\(NULL\) += [0-9]+ \([^)]*\) <vdso>$' t.txt
	grep -Eq '^getcpu\(\[[0-9]+\], \[[0-9]+\], NULL\) += 0 <vdso>$' t.txt
	"$VTRACE" --vdso --via -T -o t.txt ./asks 1 >/dev/null
	grep -Eq '^gettimeofday\(.*\) = 0 <0\.0[0-9]+> <vdso> via gettimeofday \(.*/asks\+0x[0-9a-f]+\)$' t.txt
	"$VTRACE" -o t.txt ./asks 1 >/dev/null
	lacks t.txt 'vdso>\|clock_gettime\|gettimeofday'
	"$VTRACE" -o t.jsonl ./asks 1 >/dev/null
	lacks t.jsonl '"vdso"'
}

@test "filters by name, and by raw" {
	need_vdso
	build asks
	"$VTRACE" --vdso -e trace=clock_gettime,write -o t.json ./asks 3 >/dev/null
	complete t.json
	[ "$(jq -r '.events[] | select(.name) | .name' t.json | sort | uniq -c | xargs)" = '9 clock_gettime 1 write' ]
	"$VTRACE" --vdso -e caught=raw -o t.json ./asks 3 >/dev/null
	jq -e 'any(.events[]; .type == "vdso") | not' t.json
}

@test "-c counts system calls only" {
	build asks
	"$VTRACE" --vdso -c -o ours ./asks 3 >/dev/null
	lacks ours 'clock_gettime\|gettimeofday\|getcpu'
}

@test "what the vDSO leaves to the kernel appears once, as a system call" {
	echo '#include <time.h>
	int main(void) { struct timespec now; return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) || !clock_gettime(99, &now); }' >asks.c
	gcc -o asks asks.c
	"$VTRACE" --vdso -e trace=clock_gettime -o t.json ./asks
	jq -e '[.events[] | select(.name) | [.type, .via.function, .ret.error]] ==
		[["syscall", "clock_gettime", null], ["syscall", "clock_gettime", "EINVAL"]]' t.json
}

@test "a storm of signals, cancelled threads, bad pointers: every call is there, the program unharmed" {
	need_vdso
	"$VTRACE" --vdso -f -e trace=clock_gettime,gettimeofday,time -e signal=none -o t.jsonl "$TORTURE/vdso" wanted >out
	[ "$(cat out)" = 'vdso: ok' ]
	read -r clocks days times <wanted
	[ "$(grep -c '"type":"vdso".*"CLOCK_MONOTONIC"' t.jsonl)" -eq "$clocks" ]
	[ "$(grep -c '"type":"vdso".*"name":"gettimeofday"' t.jsonl)" -eq "$days" ]
	[ "$(grep -c '"type":"vdso".*"name":"time"' t.jsonl)" -eq "$times" ]
	(head -n 2000; tail -n 50) <t.jsonl >part.jsonl
	valid part.jsonl
}

@test "a static program and one that is not patched just run" {
	echo '#include <time.h>
	int main(void) { return time(0) <= 0; }' >static.c
	gcc -static -o static static.c
	"$VTRACE" --vdso -o t.json ./static
	complete t.json
	build asks
	"$VTRACE" --vdso --no-loader-patch -o t.json ./asks 1 >out
	[ "$(cat out)" = '1 1 1' ]
	"$VTRACE" --vdso --no-agent -o t.json ./asks 1 >out
	[ "$(cat out)" = '1 1 1' ]
	complete t.json
}

@test "without -f children go on unrecorded; with -f theirs are there" {
	need_vdso
	echo '#include <sys/wait.h>
	#include <time.h>
	#include <unistd.h>
	int main(void) { if (!fork()) { time(0); _exit(0); } wait(0); time(0); return 0; }' >forks.c
	gcc -o forks forks.c
	"$VTRACE" --vdso -o t.json ./forks
	[ "$(vdso_events time | wc -l)" = 1 ]
	"$VTRACE" --vdso -f -o t.json ./forks
	[ "$(vdso_events time | jq .pid | sort -u | wc -l)" = 2 ]
}
