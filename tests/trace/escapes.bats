#!/usr/bin/env bats
# What escapes libc is seen, once, and marked.

load helpers


# The close calls of a distinctive number, as the trace has them (a 32-bit call's arguments may be plain hex).
closes() {
	jq -c --argjson fd "$1" --arg hex "$(printf '0x%x' "$1")" '
		def is_fd: if type == "object" then .value | is_fd else . == $fd or . == $hex or . == "\($fd)" end;
		[.events[] | select(.name == "close" and (.args[0].value | is_fd))]' t.json
}

@test "a raw syscall in the program's text appears once, marked raw" {
	"$VTRACE" -o t.json "$TORTURE/raw"
	valid t.json
	[ "$(closes 7001 | jq length)" = 1 ]
	[ "$(closes 7001 | jq '.[0].raw')" = true ]
	matches "$(closes 7001 | jq -r '.[0].site.object')" '/raw$'
}

@test "a raw syscall in JIT memory appears once, marked raw" {
	"$VTRACE" -o t.json "$TORTURE/raw"
	[ "$(closes 7002 | jq length)" = 1 ]
	[ "$(closes 7002 | jq '.[0].raw')" = true ]
}

@test "an int 0x80 appears once, marked raw, as a 32-bit call" {
	"$TORTURE/int80" >native.txt || skip "$(cat native.txt)"
	"$VTRACE" -o t.json "$TORTURE/int80"
	[ "$(closes 7003 | jq length)" = 1 ]
	[ "$(closes 7003 | jq '.[0].raw')" = true ]
	[ "$(closes 7003 | jq -r '.[0].abi')" != x86_64 ]
}

@test "a call through libc appears once, not marked raw" {
	"$VTRACE" -o t.json "$TORTURE/raw"
	[ "$(closes 7004 | jq length)" = 1 ]
	[ "$(closes 7004 | jq '.[0].raw')" = false ]
}

@test "-e caught=raw shows only what escaped libc" {
	"$VTRACE" -e caught=raw -o t.txt "$TORTURE/raw"
	grep -q 'close(7001)' t.txt
	grep -q 'close(7002)' t.txt
	lacks t.txt 'close(7004)'
	lacks t.txt 'execve\|openat'
}

@test "results of escaped calls are seen" {
	"$VTRACE" -o t.json "$TORTURE/raw"
	for fd in 7001 7002; do
		[ "$(closes $fd | jq -r '.[0].ret.error')" = EBADF ]
	done
}

@test "with --no-agent the same calls are there" {
	"$VTRACE" --no-agent -o t.json "$TORTURE/raw"
	for fd in 7001 7002 7004; do
		[ "$(closes $fd | jq length)" = 1 ]
	done
}
