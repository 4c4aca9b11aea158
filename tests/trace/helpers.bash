# Loaded by every .bats file here. $VTRACE: the program under test; $TORTURE: the compiled torture programs.
ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
VTRACE=${VTRACE:-$ROOT/build/vtrace}
TORTURE=${TORTURE:-$ROOT/build/tests/torture}
SCHEMA=$ROOT/formatters/vtrace.schema.json
export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin

bats_require_minimum_version 1.5.0

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# fails WITH-A-MESSAGE unless $1 (a string) matches the extended regex $2
matches() {
	if ! [[ $1 =~ $2 ]]; then
		echo "does not match /$2/:"
		echo "$1"
		return 1
	fi
}

# one line on stderr, nothing of the program: bad input is told clearly
one_line() {
	if [ "$(wc -l <"$1")" -ne 1 ]; then
		echo "expected one line, got:"
		cat "$1"
		return 1
	fi
}

# valid JSON, and valid by the schema
valid() {
	jq -e . "$1" >/dev/null && /usr/bin/python3 "$BATS_TEST_DIRNAME/validate.py" "$SCHEMA" "$1"
}

# a whole document: closed, complete
complete() {
	valid "$1" && jq -e '.footer.complete == true and .footer.lost == 0' "$1" >/dev/null
}

# fails when a line of file $1 matches $2 (bash ignores the failure of a plain `! grep`)
lacks() {
	if grep -n -- "$2" "$1"; then
		echo "should not be in $1: $2"
		return 1
	fi
}

# The suite also runs with some layers forced off (VTRACE_LAYERS): what is about one of these is tested with all.
all_layers() {
	unset VTRACE_LAYERS
}

need_root() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
}
