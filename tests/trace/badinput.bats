#!/usr/bin/env bats
# Bad input: one clear line on stderr, and the exit status that says whose fault it was.

load helpers

# refused STATUS PATTERN ARGS...: vtrace ARGS ends with STATUS, one line that matches, nothing on stdout
refused() {
	local expected=$1 pattern=$2 got=0
	shift 2
	"$VTRACE" "$@" >out 2>err || got=$?
	cat err
	[ "$got" -eq "$expected" ]
	[ ! -s out ]
	one_line err
	matches "$(cat err)" "$pattern"
}

@test "no program: 2" { refused 2 '^vtrace: .*[Pp][Rr][Oo][Gg]'; }
@test "a bad option: 2" { refused 2 '^vtrace: .*--no-such-option' --no-such-option true; }
@test "a bad letter: 2" { refused 2 '^vtrace: .*(K|-K)' -K true; }
@test "an option without its value: 2" { refused 2 '^vtrace: .*o' -o; }
@test "a bad number for -s: 2" { refused 2 '^vtrace: .*many' -s many true; }
@test "a negative number for -s: 2" { refused 2 '^vtrace: .*-5' -s -5 true; }
@test "a bad sort order for -S: 2" { refused 2 '^vtrace: .*sideways' -c -S sideways true; }
@test "a bad format: 2" { refused 2 '^vtrace: .*xml' --format=xml true; }
@test "an unknown syscall in -e: 2, with the nearest name" { refused 2 'opeanat.*openat' -e trace=opeanat true; }
@test "an unknown class in -e: 2" { refused 2 '^vtrace: .*fil' -e trace=%fil true; }
@test "a bad regex in -e: 2" { refused 2 '^vtrace: ' -e 'trace=/(' true; }
@test "an unknown -e qualifier: 2" { refused 2 'nonsense' -e nonsense=1 true; }
@test "program not found: 127" { refused 127 'no-such-program' no-such-program; }
@test "path not found: 127" { refused 127 '/there/is/none' /there/is/none; }
@test "not executable: 126" { echo x >plain; refused 126 'plain' ./plain; }
@test "a directory: 126" { refused 126 '/etc' /etc; }
@test "not a program (bad format): 126" { printf '\177ELFnonsense' >bad; chmod +x bad; refused 126 'bad' -o t.txt ./bad; }
@test "the output file's directory is not there: no program is run" {
	refused 1 '/there/is/none' -o /there/is/none/t.txt touch ran
	[ ! -e ran ]
}

@test "no permission to trace: 125, one line, the program is not run" {
	# a filter that answers ptrace with EPERM, as containers have it
	cat >noptrace.c <<'C'
#include <errno.h>
#include <seccomp.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	if (argc < 2 || !ctx || seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ptrace), 0) || seccomp_load(ctx))
		return 99;
	execvp(argv[1], argv + 1);
	return 98;
}
C
	gcc -o noptrace noptrace.c -lseccomp
	got=0
	./noptrace "$VTRACE" -o t.txt touch ran 2>err || got=$?
	cat err
	[ "$got" -eq 125 ]
	one_line err
	matches "$(cat err)" 'ptrace|trace|permi'
	[ ! -e ran ]
}
