#!/bin/bash
# Installs what the tests need, builds, runs every test; ctest's summary comes last. Arguments go to ctest.
# --all: the long forms too (200 points per fault, 20,000 processes, millions of calls); about an hour.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [ "${1:-}" = --all ]; then
	export VTRACE_TEST_ALL=1
	shift
	"$root/setup.sh" --packages golang-go chromium chromium-sandbox
	command -v javac >/dev/null || "$root/setup.sh" --packages default-jdk-headless
	command -v node >/dev/null || "$root/setup.sh" --packages nodejs
fi
"$root/setup.sh" --packages make sqlite3 valgrind busybox-static bubblewrap redis-server libjansson-dev zstd nginx-light wrk openssh-server openssh-client postgresql libpython3.11-testsuite strace bats jq python3-jsonschema gdb musl-tools gcc-multilib clang libbpf-dev git curl perl g++ procps util-linux
"$root/setup.sh" --build-only
cd "$root/build"
exec ctest --output-on-failure --no-label-summary --parallel "$(nproc)" "$@"
