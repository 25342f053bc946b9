#!/usr/bin/env bash
# Builds Caddy with the gate in it, from this checkout. With xcaddy installed it
# calls xcaddy; without, it does the same with nothing but `go`.
set -euo pipefail

gate=github.com/gatehouse-auth/gatehouse
caddy=github.com/caddyserver/caddy/v2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The flags xcaddy uses when it is not told otherwise. The tags leave out
# database drivers of Caddy's internal CA, not ours.
build_flags=(-trimpath -tags "nobadger,nomysql,nopgx" -ldflags "-w -s")

usage() {
	cat <<'EOF'
usage: ./xcaddy.sh build [--with MODULE[@VERSION][=PATH]]... [--output FILE]

Builds Caddy, in the version that go.mod names, with the gate of this checkout.

  --with MODULE            add another plugin, in its newest version
  --with MODULE@VERSION    … in this version
  --with MODULE=PATH       … from this folder (also MODULE@VERSION=PATH)
  --output FILE            where to write the binary (default: bin/caddy here)

Environment:
  XCADDY    the xcaddy to use (default: the one on PATH, if any);
            XCADDY=none builds with plain go even where xcaddy is installed
  GOOS, GOARCH, CGO_ENABLED   as for go build; CGO_ENABLED is 0 unless set
EOF
}

die() { # prints a message and stops; 2 is a wrong command line, 1 a failed build
	local status=$1
	shift
	printf 'xcaddy.sh: %s\n' "$*" >&2
	exit "$status"
}

# absolute_dir PATH: the folder as an absolute path; it must hold a Go module.
absolute_dir() {
	[ -d "$1" ] || die 2 "--with: no such folder: $1"
	[ -f "$1/go.mod" ] || die 2 "--with: $1 has no go.mod; name the folder of a Go module"
	(cd "$1" && pwd)
}

# parse_with ARG: checks one --with and appends it to modules, versions, paths
# (three arrays side by side; a missing part is an empty string).
parse_with() {
	local module=$1 version='' path=''
	case $module in *=*) path=${module#*=} module=${module%%=*} ;; esac
	case $module in *@*) version=${module#*@} module=${module%%@*} ;; esac
	case "$1" in *=) die 2 "--with $1: nothing after the =; give a folder" ;; esac
	case "${1%%=*}" in *@) die 2 "--with $1: nothing after the @; give a version, such as v1.2.3" ;; esac
	case $module in
	'' | -* | *[!A-Za-z0-9._~/-]*) die 2 "--with $1: not a module path" ;;
	.* | /*) die 2 "--with $1: give the module's name first: MODULE=$module" ;;
	"$gate" | "$caddy") die 2 "--with $module: always built in; leave it out" ;;
	esac
	if [ -n "$path" ]; then path=$(absolute_dir "$path"); fi
	modules+=("$module") versions+=("$version") paths+=("$path")
}

# placeholder MODULE: the version that stands in go.mod for a module taken from
# a folder: v0.0.0, or vN.0.0 where the module's path ends in /vN or .vN.
placeholder() {
	if [[ $1 =~ [/.]v([0-9]+)$ ]]; then
		echo "v${BASH_REMATCH[1]}.0.0"
	else
		echo v0.0.0
	fi
}

build_here() { # no further plugins: cmd/caddy is what xcaddy would generate
	cd "$root"
	go build "${build_flags[@]}" -o "$output" ./cmd/caddy
}

build_with_xcaddy() {
	local args=(build "$caddy_version" --output "$output" --with "$gate@v0.0.0=$root") i arg version
	for ((i = 0; i < ${#modules[@]}; i++)); do
		arg=${modules[i]} version=${versions[i]}
		# Without a version xcaddy asks the network for one, even for a folder.
		if [ -n "${paths[i]}" ]; then version=${version:-$(placeholder "$arg")}; fi
		if [ -n "$version" ]; then arg+="@$version"; fi
		if [ -n "${paths[i]}" ]; then arg+="=${paths[i]}"; fi
		args+=(--with "$arg")
	done
	"$xcaddy" "${args[@]}"
}

# write_main: a main package that imports Caddy, its standard modules, the gate
# and the other plugins.
write_main() {
	local module
	printf 'package main\n\nimport (\n\tcaddycmd "%s/cmd"\n\n' "$caddy"
	for module in "$caddy/modules/standard" "$gate" "${modules[@]}"; do
		printf '\t_ "%s"\n' "$module"
	done
	printf ')\n\nfunc main() { caddycmd.Main() }\n'
}

build_with_go() {
	local i wanted=() version
	work=$(mktemp -d "${TMPDIR:-/tmp}/xcaddy.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	cd "$work"
	write_main >main.go
	go mod init caddy
	cp "$root/go.sum" go.sum # what this checkout trusts is not looked up again
	go mod edit -require="$caddy@$caddy_version" -require="$gate@v0.0.0" -replace="$gate=$root"
	for ((i = 0; i < ${#modules[@]}; i++)); do
		if [ -n "${paths[i]}" ]; then
			version=${versions[i]:-$(placeholder "${modules[i]}")}
			go mod edit -require="${modules[i]}@$version" -replace="${modules[i]}=${paths[i]}"
		else
			wanted+=("${modules[i]}@${versions[i]:-latest}")
		fi
	done
	if [ ${#wanted[@]} -gt 0 ]; then go get "${wanted[@]}"; fi
	go mod tidy -e # as xcaddy: a missing test of a dependency is no reason to stop
	go build "${build_flags[@]}" -o "$output" .
}

[ $# -gt 0 ] || { usage >&2; exit 2; }
case $1 in
build) shift ;;
help | -h | --help) usage; exit 0 ;;
*) usage >&2; die 2 "unknown command: $1" ;;
esac

modules=() versions=() paths=() output='' work=''
while [ $# -gt 0 ]; do
	case $1 in
	--with | --output) if [ -z "${2:-}" ]; then die 2 "$1 needs a value"; fi ;;
	esac
	case $1 in
	--with) parse_with "$2"; shift 2 ;;
	--with=*) parse_with "${1#*=}"; shift ;;
	--output) output=$2; shift 2 ;;
	--output=*) output=${1#*=}; shift ;;
	-h | --help) usage; exit 0 ;;
	*) usage >&2; die 2 "unknown argument: $1" ;;
	esac
done

command -v go >/dev/null || die 1 "go is not on PATH: install Go $(awk '$1 == "go" { print $2 }' "$root/go.mod") or newer"
export CGO_ENABLED=${CGO_ENABLED:-0}
if [ -z "$output" ]; then output=$root/bin/caddy$(go env GOEXE); fi
case $output in /*) ;; *) output=$PWD/$output ;; esac
[ ! -d "$output" ] || die 2 "--output $output: a folder; give the name of a file"
mkdir -p "$(dirname "$output")"
caddy_version=$(awk -v m="$caddy" '$1 == m { print $2; exit } $1 == "require" && $2 == m { print $3; exit }' "$root/go.mod")
[ -n "$caddy_version" ] || die 1 "go.mod names no version of $caddy"

xcaddy=${XCADDY:-xcaddy}
if [ "$xcaddy" != none ] && command -v "$xcaddy" >/dev/null; then
	build_with_xcaddy
elif [ -n "${XCADDY:-}" ] && [ "$XCADDY" != none ]; then
	die 1 "XCADDY=$XCADDY: no such program"
elif [ ${#modules[@]} -gt 0 ]; then
	build_with_go
else
	build_here
fi
printf 'built %s\n' "$output"
