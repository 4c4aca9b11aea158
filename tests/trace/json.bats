#!/usr/bin/env bats
# The machine format: valid by jq and by the schema, for every workload; and where a call comes from.

load helpers

traced() {
	run -0 --separate-stderr "$VTRACE" -f -o t.json "$@"
	complete t.json
}

@test "ls -l /" { traced ls -l /; }
@test "cat /etc/passwd" { traced cat /etc/passwd; }
@test "a shell pipeline" { traced sh -c 'cat /etc/passwd | sort | uniq -c | tail -1'; }
@test "python3 with a subprocess" { traced /usr/bin/python3 -c 'import json,subprocess; subprocess.run(["true"])'; }
@test "gcc -c hello.c" {
	echo 'int main(void) { return 0; }' >hello.c
	traced gcc -c hello.c
	[ -s hello.o ]
}
@test "git log -1" {
	export HOME=$PWD
	git init -q repo
	git -C repo -c user.name=a -c user.email=a@b commit -q --allow-empty -m first
	traced git -C repo log -1
}
@test "tar cf /dev/null /etc" { traced tar cf /dev/null /etc; }
@test "perl -e 'print 1'" { traced perl -e 'print 1'; [ "$output" = 1 ]; }
@test "find /usr/share/doc -name copyright" { traced find /usr/share/doc -name copyright; }
@test "curl --version" { traced curl --version; }
@test "eight threads" { traced "$TORTURE/threads"; [ "$(jq '[.events[] | select(.type == "syscall") | .tid] | unique | length' t.json)" = 9 ]; }
@test "a static program" {
	echo 'int main(void) { return 0; }' >hello.c
	gcc -static -o hello hello.c
	traced ./hello
	jq -e '[.events[] | select(.type == "syscall") | .raw] | all(. == null)' t.json
}
@test "a musl program" {
	echo 'int main(void) { return 0; }' >hello.c
	musl-gcc -o hello hello.c
	traced ./hello
}

@test "the openat of cat /etc/passwd comes via open, called from inside cat" {
	all_layers
	traced cat /etc/passwd
	jq -c '.events[] | select(.name == "openat" and any(.args[]; .value == "/etc/passwd"))' t.json >call
	[ "$(wc -l <call)" = 1 ]
	cat call
	[ "$(jq -r .via.function call)" = open ]
	matches "$(jq -r .via.object call)" '/cat$'
	matches "$(jq -r .site.object call)" '/libc\.so\.6$'
	[ "$(jq .raw call)" = false ]
}

@test "the caller's offset is an address inside cat's text" {
	all_layers
	traced cat /etc/passwd
	offset=$(jq -r '.events[] | select(.name == "openat" and any(.args[]; .value == "/etc/passwd")) | .via.offset' t.json)
	# the text segment: offset and size of the LOAD with R E
	readelf -lW /bin/cat | awk '/LOAD/ && /R E/ { print $2, $5 }' >text
	read -r start size <text
	[ $((offset)) -ge $((start)) ] && [ $((offset)) -lt $((start + size)) ]
}

@test "eager binding (LD_BIND_NOW) gives the same via" {
	all_layers
	LD_BIND_NOW=1 "$VTRACE" -o t.json cat /etc/passwd >/dev/null
	jq -e '.events[] | select(.name == "openat" and any(.args[]; .value == "/etc/passwd")) | .via.function == "open"' t.json
}

@test "a function found by dlsym is recorded too" {
	all_layers
	cat >d.c <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
int main(void)
{
	int (*f)(const char *, int) = (int (*)(const char *, int))dlsym(RTLD_DEFAULT, "access");
	return !f || f("/there/is/no/such/file", 0) != -1;
}
C
	gcc -o d d.c
	"$VTRACE" -o t.json ./d
	jq -e '.events[] | select(any(.args[]?; .value == "/there/is/no/such/file")) | .via.function == "access"' t.json
}

@test "jsonl: every line is valid" {
	"$VTRACE" -f -o t.jsonl sh -c 'ls / >/dev/null'
	jq -Re fromjson t.jsonl >/dev/null # line by line
	/usr/bin/python3 "$BATS_TEST_DIRNAME/validate.py" "$SCHEMA" t.jsonl
}

@test "--format wins over the suffix" {
	"$VTRACE" --format=json -o t.txt true
	jq -e .footer.complete t.txt
	"$VTRACE" --format=text -o t.json true
	grep -q '^execve(' t.json
}

@test "file names that are not UTF-8 keep their bytes" {
	name=$(printf 'no\377utf')
	run "$VTRACE" -o t.json cat "$name"
	valid t.json
	[ "$(jq -r '[.. | .b64? // empty] | map(select(. == "'"$(printf %s "$name" | base64)"'")) | length > 0' t.json)" = true ]
}

@test "seq grows, every syscall once; events of a thread do not overlap" {
	"$VTRACE" -f -o t.json sh -c 'ls / | cat >/dev/null'
	jq -e '[.events[].seq | select(. != null)] | . == (sort | unique)' t.json
}

@test "the footer tells how calls were caught, and where" {
	all_layers
	export XDG_CACHE_HOME=$PWD/cache
	traced ls /
	calls=$(jq '[.events[] | select(.type == "syscall")] | length' t.json)
	jq -e --argjson calls "$calls" '.footer.calls | .site + .dispatch + .net + .ptrace == $calls' t.json
	jq -e '.footer | ([.traps[].calls] | add) + .other_traps == .calls.dispatch' t.json
	jq -e '.footer.sites | any((.object | endswith("/libc.so.6")) and .rewritten > 0 and
		.found == .rewritten + .unused + ([.left[]] | add))' t.json
	jq -e '.footer.overhead.agent_ns > 0 and .footer.overhead.keeper_ns > 0' t.json
}

@test "a program's sites are remembered: the second time none of them is dispatched" {
	all_layers
	export XDG_CACHE_HOME=$PWD/cache
	traced ls /
	jq -e '.footer.calls.dispatch > 10' t.json
	traced ls /
	jq -e '.footer.calls | .dispatch == 0 and .site > 50' t.json
}
