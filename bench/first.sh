#!/bin/bash
# first.sh [ROUNDS]: a first look at speed. Three workloads, each native, under vtrace -f and under strace -f, in turn,
# so that a slow minute of the machine hits all three; the medians as a Markdown table on stdout.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
vtrace=${VTRACE:-$root/build/vtrace}
rounds=${1:-5}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

loop='i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done'

# run TOOL WORKLOAD: appends the wall time in microseconds to $dir/WORKLOAD.TOOL
run() {
	local start end prefix=() command=()
	case $1 in
	vtrace) prefix=("$vtrace" -f -o "$dir/trace") ;;
	strace) prefix=(strace -f -o "$dir/trace") ;;
	esac
	case $2 in
	ls) command=(ls -l /) ;;
	dd) command=(dd if=/dev/zero of=/dev/null bs=1 count=100k status=none) ;;
	loop) command=(sh -c "$loop") ;;
	esac
	start=$EPOCHREALTIME
	"${prefix[@]}" "${command[@]}" >/dev/null
	end=$EPOCHREALTIME
	echo $((${end/./} - ${start/./})) >>"$dir/$2.$1"
}

median() {
	sort -n "$1" | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : int((v[NR / 2] + v[NR / 2 + 1]) / 2) }'
}

row() {
	local native vtraced straced
	native=$(median "$dir/$2.native")
	vtraced=$(median "$dir/$2.vtrace")
	straced=$(median "$dir/$2.strace")
	awk -v name="$1" -v n="$native" -v v="$vtraced" -v s="$straced" 'BEGIN {
		printf "| %s | %.1f ms | %.1f ms (%.1f×) | %.1f ms (%.1f×) |\n", name, n/1000, v/1000, v/n, s/1000, s/n }'
}

for workload in ls dd loop; do
	for tool in native vtrace strace; do
		run $tool $workload # warm up: caches, plans
		rm -f "$dir/$workload.$tool"
	done
	for ((round = 0; round < rounds; round++)); do
		for tool in native vtrace strace; do
			run $tool $workload
		done
	done
done

echo "Medians of $rounds interleaved rounds; $(uname -sr), $(nproc) CPUs, $(strace -V | head -1)."
echo
echo "| workload | native | \`vtrace -f\` | \`strace -f\` |"
echo "|---|---|---|---|"
row '`ls -l /`' ls
row '`dd bs=1 count=100k`' dd
row 'shell loop, 200 processes' loop
