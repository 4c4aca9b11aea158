#!/bin/bash
# Installs what the build needs, builds into build/, traces a real program and says where the trace is.
# --build-only: without the trace; --packages LIST...: only installs (test.sh uses both).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

build_packages=(gcc libc6-dev cmake ninja-build binutils python3 python3-clang python3-pyelftools
	linux-headers-amd64 linux-libc-dev libzydis-dev libzstd-dev)

die() { echo "setup: $*" >&2; exit 1; }

missing_packages() {
	local package
	for package; do
		[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = "ii " ] || echo "$package"
	done
}

# The tests run servers of their own: what is installed here is neither started, now or at the next boot, nor makes a database.
declare -A services=([openssh-server]=ssh [nginx-light]=nginx [redis-server]=redis-server [postgresql]=postgresql)
policy=/usr/sbin/policy-rc.d
no_cluster=/etc/postgresql-common/createcluster.d/vtrace.conf

forbid_services() {
	had_policy=yes
	if [ ! -e $policy ]; then
		had_policy=
		printf '#!/bin/sh\nexit 101\n' | "$@" tee $policy >/dev/null
		"$@" chmod 755 $policy
	fi
	case " ${missing[*]} " in *" postgresql "*)
		"$@" mkdir -p "${no_cluster%/*}"
		echo "create_main_cluster = false" | "$@" tee $no_cluster >/dev/null
	esac
}

allow_services() {
	local package
	[ "$had_policy" ] || "$@" rm -f $policy
	"$@" rm -f $no_cluster
	command -v systemctl >/dev/null || return 0
	for package in "${missing[@]}"; do
		[ -z "${services[$package]-}" ] || "$@" systemctl --quiet disable "${services[$package]}.service" || true
	done
}

install_packages() {
	local missing as_root=() failed=
	mapfile -t missing < <(missing_packages "$@")
	[ ${#missing[@]} -eq 0 ] && return
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null ||
			die "these Debian packages are missing and neither root nor sudo is at hand: ${missing[*]}"
		as_root=(sudo)
	fi
	echo "setup: installing ${missing[*]}"
	"${as_root[@]}" apt-get update -qq || die "apt-get update failed"
	forbid_services "${as_root[@]}"
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || failed=yes
	allow_services "${as_root[@]}"
	[ -z "$failed" ] || die "could not install: ${missing[*]}"
}

build() {
	local log status=0
	log=$(mktemp)
	{
		cd "$root" &&
		cmake --preset release -DVTRACE_WERROR="${VTRACE_WERROR:-0}" &&
		cmake --build --preset release
	} >"$log" 2>&1 || status=$?
	if [ "$status" -ne 0 ]; then
		cat "$log" >&2
		rm -f "$log"
		die "the build failed"
	fi
	grep -E 'warning:' "$log" >&2 || true
	rm -f "$log"
}

command -v dpkg-query >/dev/null || die "this is not a Debian system: install the packages of $0 yourself, then use cmake --preset release"
if [ "${1-}" = --packages ]; then
	shift
	install_packages "$@"
	exit
fi
install_packages "${build_packages[@]}"
build
[ "${1-}" = --build-only ] && exit

cd "$root"
build/vtrace -o build/first-trace.json ls -l /
echo "setup: vtrace is $root/build/vtrace; the trace of \`ls -l /\` is $root/build/first-trace.json"
