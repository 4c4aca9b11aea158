#!/usr/bin/env bats
# Recordings: what a replay shows, and what is said of files that are cut, damaged or something else.
# That a replay is what the run itself wrote is tested by compare.replay_of_*.

load helpers

# replayed STATUS ARGS...: vtrace replay ARGS ends with STATUS; out, err
replayed() {
	local expected=$1 got=0
	shift
	"$VTRACE" replay "$@" >out 2>err || got=$?
	if [ "$got" -ne "$expected" ]; then
		echo "status $got"
		cat err
		return 1
	fi
}

@test "record without -o writes trace.vtr; the program's output and status are its own" {
	run -3 "$VTRACE" record sh -c 'echo hello; exit 3'
	[ "$output" = hello ]
	replayed 0 trace.vtr
	grep -q '^execve("/' out
	grep -qx '+++ exited with 3 +++' out
	[ ! -s err ]
}

@test "a replay's filters show the lines they would have shown" {
	"$VTRACE" -o all.txt -o all.vtr ls / >/dev/null
	replayed 0 -o openat.txt -e trace=openat all.vtr
	diff <(grep -e '^openat(' -e '^+++' all.txt) openat.txt
	replayed 0 -o failed.txt -e quiet=exit -Z all.vtr
	diff <(grep ' = -1 ' all.txt) failed.txt
	replayed 0 -o path.txt -e quiet=exit -P /etc/ld.so.cache all.vtr
	diff <(grep '"/etc/ld.so.cache"' all.txt) path.txt
	replayed 0 -c all.vtr
	matches "$(grep total out)" " $(grep -c ' = [^?]' all.txt) .*total"
}

@test "what a recording was filtered by is not in it" {
	"$VTRACE" record -e trace=openat -e signal=none -o few.vtr -o few.json sh -c 'kill -USR1 $$; exit 0' || true
	replayed 0 -o again.json few.vtr
	cmp few.json again.json
	jq -e '[.events[] | select(.type == "syscall") | .name] | unique == ["openat"]' again.json
	replayed 0 -e trace=read few.vtr
	lacks out '^read('
	lacks out '^--- SIGUSR1'
}

@test "-s and -y are the recording's; what it does not have is said once" {
	echo 'a text of some length' >file
	"$VTRACE" record -y -s 6 -o t.vtr cat file | cat >/dev/null
	replayed 0 t.vtr
	grep -q '^read([0-9]*<.*/file>, "a text"\.\.\., ' out
	replayed 0 --decode-fds=none -s 1 t.vtr
	grep -q '^read([0-9]*, "a"\.\.\., ' out
	"$VTRACE" record -s 6 -o t.vtr cat file | cat >/dev/null
	replayed 0 -s 100 -y t.vtr
	grep -q '^read([0-9]*, "a text "\.\.\., ' out
	[ "$(wc -l <err)" = 2 ]
	grep -q '^vtrace: -s 100: .*recorded with -s 6' err
	grep -q '^vtrace: -y: ' err
}

@test "a recording can be read from a pipe, and written again, compressed or not" {
	"$VTRACE" -f -o t.txt -o t.vtr.zst sh -c 'ls / | cat' >/dev/null
	zstd -qdc t.vtr.zst >plain
	replayed 0 - <plain
	cat t.vtr.zst | replayed 0 -o a.txt -
	cmp t.txt a.txt
	replayed 0 -o again.vtr t.vtr.zst
	replayed 0 --zstd -o again2 --format=vtr again.vtr
	replayed 0 -o b.txt again2
	cmp t.txt b.txt
	zstd -qt again2
}

@test "x.json.zst is the same document, compressed" {
	"$VTRACE" -o t.json -o t.json.zst true
	zstd -qdc t.json.zst | cmp - t.json
	complete t.json
}

@test "a recording cut anywhere: what is there is shown, one line says so, status 3" {
	"$VTRACE" -f -o t.txt -o t.vtr -o t.vtr.zst sh -c 'ls -l /usr/include/linux | cat' >/dev/null # several blocks
	/usr/bin/python3 - "$VTRACE" <<'PY'
import json, subprocess, sys
whole = open("t.txt").read().splitlines()
shown = set()
for name in ("t.vtr", "t.vtr.zst"):
    data = open(name, "rb").read()
    for at in [*range(16 if name == "t.vtr" else 200, len(data) - 1, max(1, len(data) // 60)), len(data) - 1]:
        open("cut", "wb").write(data[:at])
        done = subprocess.run([sys.argv[1], "replay", "-o", "cut.txt", "-o", "cut.json", "cut"], stderr=subprocess.PIPE, text=True)
        error = done.stderr
        if not done.returncode: # only zstd's own checksum at the end is missing
            assert name == "t.vtr.zst" and not error and open("cut.txt").read().splitlines() == whole
            continue
        assert error.count("\n") == 1, error
        if done.returncode == 125: # not even the header
            assert "header" in error and at < 2000, (at, error)
            continue
        assert done.returncode == 3 and "cut" in error, (at, done.returncode, error)
        assert json.load(open("cut.json"))["footer"]["complete"] is False
        lines = open("cut.txt").read().splitlines()
        same = [a for a, b in zip(lines, whole) if a == b]
        assert len(same) >= len(lines) - 4, (at, lines[-6:]) # calls that had begun are unfinished
        shown.add(len(lines))
assert len(shown) > 3, shown
PY
}

@test "a recording with a changed byte: one line, status 125, and what comes before is shown" {
	"$VTRACE" -f -o t.txt -o t.vtr -o t.vtr.zst sh -c 'ls / | cat' >/dev/null
	/usr/bin/python3 - "$VTRACE" <<'PY'
import subprocess, sys
whole = open("t.txt").read()
for name in ("t.vtr", "t.vtr.zst"):
    data = open(name, "rb").read()
    for at in range(5, len(data), max(1, len(data) // 60)):
        if 12 <= at < 16 and name == "t.vtr":
            continue # reserved
        open("bad", "wb").write(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1:])
        done = subprocess.run([sys.argv[1], "replay", "-o", "bad.txt", "bad"], stderr=subprocess.PIPE, text=True)
        if not done.returncode: # another way to compress the same
            assert name == "t.vtr.zst" and not done.stderr and open("bad.txt").read() == whole, at
            continue
        assert done.stderr.count("\n") == 1, (at, done.stderr)
        # a size can be damaged so that the file looks cut
        assert done.returncode in (125, 3), (at, done.returncode, done.stderr)
PY
}

@test "what is no recording is refused with one line, status 125, and nothing is written" {
	: >empty
	printf 'vtrace\r\n\377\0\0\0\0\0\0\0' >newer
	printf 'vtrace\n\1\0\0\0\0\0\0\0\0' >translated
	head -c 1000 /dev/zero | zstd -q >zeros.zst
	"$VTRACE" -o t.json true
	for file in /bin/ls /etc/passwd t.json empty newer translated zeros.zst . /there/is/none; do
		replayed 125 -o written.txt "$file"
		[ ! -e written.txt ]
		[ ! -s out ]
		one_line err
	done
	replayed 125 newer
	matches "$(cat err)" 'version 255'
}

@test "the front is killed while it records: the recording shows what it has" {
	/usr/bin/python3 - "$VTRACE" <<'PY'
import os, subprocess, sys
os.mkfifo("up"), os.mkfifo("go"), os.mkfifo("done")
program = """i=0; while [ $i -lt 80 ]; do cat /etc/passwd >/dev/null; i=$((i+1)); echo $i >count; [ $i = 40 ] && echo up >up; done
echo fine >done"""
child = subprocess.Popen([sys.argv[1], "record", "-f", "-o", "t.vtr", "sh", "-c", program])
open("up").read()
child.kill() # Popen's child is the front
child.wait()
assert open("done").read() == "fine\n"
PY
	replayed 3 -o t.txt -o t.json t.vtr
	one_line err
	valid t.json
	jq -e '.footer.complete == false and (.events | length > 100)' t.json
	[ "$(grep -c 'exited with 0' t.txt)" -ge 5 ]
}
