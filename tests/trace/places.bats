#!/usr/bin/env bats
# Works for anyone, anywhere: ordinary user, a directory that is not writable, stdout closed, a full disk.

load helpers

# as nobody: runs a command as an ordinary user who owns nothing here
as_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs env HOME=/nonexistent "$@"
}

# An ordinary user must be able to reach vtrace: a copy where everyone may read.
public_copy() {
	public=$(mktemp -d /tmp/vtrace-public.XXXXXX)
	cp "$VTRACE" "$public/vtrace"
	chmod 755 "$public" "$public/vtrace"
	mkdir -m 777 "$public/out"
}

teardown() {
	[ -z "${public:-}" ] || rm -rf "$public"
	[ -z "${mounted:-}" ] || umount "$mounted"
}

@test "as an ordinary user" {
	all_layers
	need_root
	public_copy
	cd "$public/out"
	as_nobody "$public/vtrace" -f -o t.json sh -c 'id -u; ls -l / >/dev/null' >out
	[ "$(cat out)" = 65534 ]
	complete t.json
	jq -e 'any(.events[]; .via.function? != null)' t.json
}

@test "in a directory that is not writable" {
	need_root
	public_copy
	mkdir -m 555 "$public/closed"
	cd "$public/closed"
	as_nobody "$public/vtrace" -f -o "$public/out/t.json" ls / >/dev/null
	complete "$public/out/t.json"
	# -o in it: refused, with one line
	got=0
	as_nobody "$public/vtrace" -o t.json true 2>"$public/out/err" || got=$?
	[ "$got" -eq 1 ]
	one_line "$public/out/err"
	matches "$(cat "$public/out/err")" 't\.json.*Permission denied'
}

@test "without a home and with an empty environment" {
	env -i "$VTRACE" -o t.json /bin/true
	complete t.json
}

@test "with stdout closed: the program sees it closed" {
	"$VTRACE" -f -o t.json sh -c 'test ! -e /proc/self/fd/1' >&-
	complete t.json
	got=0
	"$VTRACE" -o t.json /bin/echo lost >&- 2>err || got=$?
	native=0
	/bin/echo lost >&- 2>native_err || native=$?
	[ "$got" -eq "$native" ]
	diff native_err err
}

@test "with stdin, stdout and stderr closed" {
	got=0
	"$VTRACE" -o t.json sh -c 'exit 3' <&- >&- 2>&- || got=$?
	[ "$got" -eq 3 ]
	complete t.json
}

# full ARGS...: the program must run to its end though the trace cannot be written
full() {
	rm -f ran
	got=0
	"$VTRACE" "$@" sh -c 'for i in 1 2 3 4 5 6 7 8 9; do ls -l / /etc; done; echo done >ran' >out 2>err || got=$?
	cat err
	[ "$(cat ran)" = done ]
	[ "$(wc -l <out)" -gt 100 ]
	[ "$got" -eq 1 ]
	one_line err
	matches "$(cat err)" 'No space left on device'
}

@test "-o /dev/full: clear error, exit status, program not harmed" { full -f -o /dev/full; }
@test "-o /dev/full as JSON" { full -f --format=json -o /dev/full; }

@test "-o on a disk that fills up" {
	need_root
	mkdir disk
	mount -t tmpfs -o size=64k tmpfs disk 2>/dev/null || skip "may not mount"
	mounted=$PWD/disk
	full -f -o disk/t.txt
}

@test "-o '|command' whose command ends early: program not harmed" {
	got=0
	"$VTRACE" -f -o '|true' sh -c 'ls -l / /etc; echo done >ran' >/dev/null 2>err || got=$?
	[ "$(cat ran)" = done ]
	[ "$(wc -l <err)" -le 1 ]
}

@test "after chroot" {
	need_root
	mkdir jail
	echo 'int main(void) { return 4; }' >four.c
	gcc -static -o jail/four four.c
	got=0
	"$VTRACE" -f -o t.json chroot "$PWD/jail" /four || got=$?
	[ "$got" -eq 4 ]
	complete t.json
	jq -e 'any(.events[]; .name == "chroot")' t.json
}

@test "under a low limit of open files" {
	( ulimit -n 16; "$VTRACE" -f -o t.json sh -c 'ls / >/dev/null' )
	complete t.json
}

@test "under a low limit of file sizes, which the program keeps" {
	native=$(ulimit -f 1; sh -c 'ulimit -f')
	( ulimit -f 1; "$VTRACE" -f -o /dev/stderr sh -c 'ulimit -f' 2>&1 >limit.txt ) | cat >t.txt
	[ "$(cat limit.txt)" = "$native" ]
	grep -q '+++ exited with 0 +++' t.txt
	need_root
	public_copy
	( ulimit -f 1; as_nobody "$public/vtrace" -f -o '|cat' sh -c 'ulimit -f >&2' 2>limit.txt ) | cat >t.txt
	[ "$(cat limit.txt)" = "$native" ]
	grep -q '+++ exited with 0 +++' t.txt
}

@test "a program keeps the signals that it inherited as ignored" {
	for signal in TRAP SYS SEGV BUS USR1; do
		sh -c "trap '' $signal; exec grep SigIgn /proc/self/status" >native.txt
		"$VTRACE" -f -o t.txt sh -c "trap '' $signal; exec grep SigIgn /proc/self/status" >traced.txt
		diff native.txt traced.txt
	done
}
