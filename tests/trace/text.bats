#!/usr/bin/env bats
# The text form and the options that shape it, as strace has them.

load helpers

@test "text goes to stderr without -o, the program's output stays apart" {
	run -0 --separate-stderr "$VTRACE" sh -c 'echo hello'
	[ "$output" = hello ]
	matches "$stderr" 'execve\("[^"]*sh", \["sh", "-c", "echo hello"\], 0x[0-9a-f]+ /\* [0-9]+ vars \*/\) = 0'
	matches "$stderr" '\+\+\+ exited with 0 \+\+\+'
}

@test "a signal prints its siginfo" {
	run "$VTRACE" -o t.txt sh -c 'trap : USR1; kill -USR1 $$'
	grep -Eq '^--- SIGUSR1 \{si_signo=SIGUSR1, si_code=SI_USER, si_pid=[0-9]+, si_uid=[0-9]+\} ---$' t.txt
	grep -q '^rt_sigreturn(' t.txt
}

@test "calls of two processes: unfinished and resumed belong together" {
	"$VTRACE" -f -o t.txt sh -c 'sleep 0.05; true' # the shell waits while sleep runs: its wait4 is unfinished
	grep -Eq '^[0-9]+ +wait4\(-1,  ?<unfinished \.\.\.>$' t.txt
	grep -Eq '^[0-9]+ +<\.\.\. wait4 resumed>\[\{WIFEXITED\(s\) && WEXITSTATUS\(s\) == 0\}\], .*\) = [0-9]+$' t.txt
	# as many resumed as unfinished, per thread
	awk '/<unfinished \.\.\.>$/ { open[$1]++ } /resumed>/ { open[$1]-- } END { for (p in open) if (open[p]) exit 1 }' t.txt
}

@test "without -f children are not recorded, and run" {
	run -0 "$VTRACE" -o t.txt sh -c '/bin/echo child; /bin/echo child'
	[ "$output" = $'child\nchild' ]
	[ "$(grep -c '^execve(' t.txt)" = 1 ]
	lacks t.txt '^[0-9]'
}

@test "with -f children are recorded from their first call" {
	"$VTRACE" -f -o t.txt sh -c '/bin/echo child; true' >/dev/null
	[ "$(grep -Ec '^[0-9]+ +execve\(' t.txt)" = 2 ]
	[ "$(grep -c 'exited with 0' t.txt)" = 2 ]
}

@test "-c prints the summary in strace's layout" {
	"$VTRACE" -c -o whole ls / >/dev/null
	strace -c -o theirs ls / >/dev/null
	cat whole
	sed '/^$/,$d' whole >ours # ours alone are the lines behind an empty one
	grep -Eq '^vtrace: [0-9]+ calls caught, [0-9]+ in rewritten sites, ' whole
	grep -Eq '^vtrace: about [0-9.]+ s of its own time in the program, [0-9.]+ s in the keeper$' whole
	diff <(sed -n 1,2p theirs) <(sed -n 1,2p ours)
	grep -Eq '^100\.00 +[0-9.]+ +[0-9]+ +[0-9]+ +[0-9]* *total$' ours
	# the same calls, as often
	diff <(awk 'NR > 2 && $NF != "total" && !/^---/ { print $NF, $4 }' theirs | sort) \
	     <(awk 'NR > 2 && $NF != "total" && !/^---/ { print $NF, $4 }' ours | sort)
}

@test "-C prints both" {
	"$VTRACE" -C -o t.txt true
	grep -q '^execve(' t.txt
	grep -q '% time' t.txt
}

@test "-S name sorts the summary by name" {
	"$VTRACE" -c -S name -o t.txt ls / >/dev/null
	sed '/^$/,$d' t.txt | awk 'NR > 2 && $NF != "total" && !/^---/ { print $NF }' >names
	LC_ALL=C sort -c names
}

# only NAMES...: the syscalls of t.txt are exactly these
only() {
	diff <(printf '%s\n' "$@" | sort) <(sed -nE 's/^([a-z0-9_]+)\(.*/\1/p' t.txt | sort -u)
}

@test "-e trace=names" {
	"$VTRACE" -e trace=openat,close -o t.txt cat /etc/passwd >/dev/null
	only openat close
}

@test "-e trace=!names" {
	"$VTRACE" -e 'trace=!openat,close' -o t.txt cat /etc/passwd >/dev/null
	lacks t.txt '^openat(\|^close('
	grep -q '^read(' t.txt
}

@test "-e trace=%class, as strace has the classes" {
	for class in %file %process %network %signal %memory %desc; do
		"$VTRACE" -e trace=$class -o t.txt sh -c 'cat /etc/passwd >/dev/null; exit 0'
		strace -e trace=$class -o s.txt sh -c 'cat /etc/passwd >/dev/null; exit 0'
		diff <(sed -nE 's/^([a-z0-9_]+)\(.*/\1/p' s.txt | sort -u) <(sed -nE 's/^([a-z0-9_]+)\(.*/\1/p' t.txt | sort -u)
	done
}

@test "-e trace=/regex" {
	"$VTRACE" -e 'trace=/^(open|clos)' -o t.txt cat /etc/passwd >/dev/null
	lacks t.txt '^read('
	grep -q '^openat(' t.txt
	grep -q '^close(' t.txt
}

@test "-e with a bare name is trace=" {
	"$VTRACE" -e openat -o t.txt cat /etc/passwd >/dev/null
	only openat
}

@test "-o '|command' pipes the trace" {
	"$VTRACE" -o '|cat >piped' true
	grep -q '^execve(' piped
	grep -q '+++ exited with 0 +++' piped
}

@test "-s limits strings" {
	"$VTRACE" -s 5 -e trace=write -o t.txt /bin/echo 0123456789 >/dev/null
	grep -q '^write(1, "01234"..., 11)' t.txt
	"$VTRACE" -s 100 -e trace=write -o t.txt /bin/echo 0123456789 >/dev/null
	grep -q '^write(1, "0123456789\\n", 11)' t.txt
}

@test "-y prints the paths of fds" {
	"$VTRACE" -y -e trace=read,openat -o t.txt cat /etc/passwd >/dev/null
	grep -q '^openat(AT_FDCWD<.*>, "/etc/passwd", O_RDONLY) = [0-9]*</etc/passwd>' t.txt
	grep -q '^read([0-9]*</etc/passwd>, ' t.txt
}

@test "-x and -xx print strings in hex" {
	"$VTRACE" -xx -e trace=write -o t.txt /bin/echo A >/dev/null
	grep -q '^write(1, "\\x41\\x0a", 2)' t.txt
}

@test "-t, -tt, -ttt, -r and -T" {
	"$VTRACE" -t -o t.txt true; grep -Eq '^[0-9]{2}:[0-9]{2}:[0-9]{2} execve\(' t.txt
	"$VTRACE" -tt -o t.txt true; grep -Eq '^[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6} execve\(' t.txt
	"$VTRACE" -ttt -o t.txt true; grep -Eq '^[0-9]{10}\.[0-9]{6} execve\(' t.txt
	"$VTRACE" -r -o t.txt true; grep -Eq '^ +[0-9]+\.[0-9]{6} execve\(' t.txt
	"$VTRACE" -T -o t.txt true; grep -Eq '^execve\(.* = 0 <[0-9]+\.[0-9]{6}>$' t.txt
}

@test "-z and -Z: only successful, only failed" {
	"$VTRACE" -z -o t.txt cat /there/is/no/such/file || true
	lacks t.txt ' = -1 '
	"$VTRACE" -Z -o t.txt cat /there/is/no/such/file || true
	grep -q '"/there/is/no/such/file".* = -1 ENOENT (No such file or directory)' t.txt
	lacks t.txt '^[a-z0-9_]*(.* = [0-9]'
}

@test "--via prints the libc function" {
	all_layers
	"$VTRACE" --via -e trace=openat -o t.txt cat /etc/passwd >/dev/null
	grep '"/etc/passwd"' t.txt | grep -w open
}

@test "a bad pointer prints as an address" {
	cat >b.c <<'C'
#include <fcntl.h>
#include <unistd.h>
int main(void) { return open((const char *)0x1234, O_RDONLY) != -1 || access("", F_OK) != -1; }
C
	gcc -w -o b b.c
	"$VTRACE" -o t.txt ./b
	grep -q '0x1234, O_RDONLY) *= -1 EFAULT (Bad address)' t.txt
}

@test "-- ends the options" {
	"$VTRACE" -o t.txt -- /bin/echo -f >out
	[ "$(cat out)" = -f ]
}

@test "-h and -V answer on stdout and end with 0" {
	run -0 --separate-stderr "$VTRACE" -h
	[ -z "$stderr" ]
	matches "$output" 'vtrace'
	run -0 --separate-stderr "$VTRACE" -V
	matches "$output" '^vtrace .*[0-9]+\.[0-9]+'
}

@test "a signal in a sleep: what remains of it, the mask that comes back" {
	cat >s.c <<'C'
#include <signal.h>
#include <sys/time.h>
#include <time.h>
static void handler(int sig) { (void)sig; }
int main(void)
{
	struct itimerval soon = { { 0, 20000 }, { 0, 20000 } }; /* on a busy machine the first comes before the sleep */
	struct timespec sleep = { 10, 0 }, left;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGALRM, handler);
	setitimer(ITIMER_REAL, &soon, NULL);
	return nanosleep(&sleep, &left) == 0;
}
C
	gcc -o s s.c
	for way in "" --no-agent; do
		"$VTRACE" $way -o t.txt ./s
		grep -Eq '^clock_nanosleep\(CLOCK_REALTIME, 0, \{tv_sec=10, tv_nsec=0\}, \{tv_sec=9, tv_nsec=[0-9]+\}\) = \? ERESTART_RESTARTBLOCK \(Interrupted by signal\)$' t.txt
		grep -q '^rt_sigreturn({mask=\[USR1\]}) *= -1 EINTR (Interrupted system call)$' t.txt
	done
	"$VTRACE" -o t.json ./s
	valid t.json
	jq -e '[.events[] | select(.name == "rt_sigreturn")][0].args[0].value.mask[0].name == "SIGUSR1"' t.json
}

@test "exec by a thread that is not the leader, as strace tells it" {
	"$VTRACE" -f -o t.txt "$TORTURE/exec_thread" || true
	sed -nE '/execve\(.*<unfinished/,/execve resumed/p' t.txt >lines
	grep -Eq '^[0-9]+ +<\.\.\. pause resumed>\) +=? *\?$|= \?$' lines
	grep -Eq '^[0-9]+ +\+\+\+ superseded by execve in pid [0-9]+ \+\+\+$' lines
	tail -1 lines | grep -Eq '^[0-9]+ +<\.\.\. execve resumed>\) +=? ?= 0$|= 0$'
	"$VTRACE" -f -e trace=execve -e quiet=exit -o t.txt "$TORTURE/exec_thread" || true
	grep -Eq '^[0-9]+ +execve\(.* <pid changed to [0-9]+ \.\.\.>$' t.txt
	"$VTRACE" -f -e trace=execve -e quiet=thread-execve -o t.txt "$TORTURE/exec_thread" || true
	lacks t.txt superseded
}

@test "-U chooses the summary's columns, as strace has them" {
	"$VTRACE" -c -U name,max-time,errors,calls -o ours ls / >/dev/null
	strace -c -U name,max-time,errors,calls -o theirs ls / >/dev/null
	diff <(sed -n 1,2p theirs) <(sed -n 1,2p ours)
	"$VTRACE" -c -e trace=exit_group -o ours true # nothing counted, nothing printed
	[ ! -s ours ]
}
