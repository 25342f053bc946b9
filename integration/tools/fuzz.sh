#!/usr/bin/env bash
# Fuzzes every Fuzz target of this module for a short while, one after another.
#
# usage: fuzz.sh [DURATION]   how long each target runs, as for -fuzztime; 10s
set -euo pipefail

cd "$(dirname "$0")/../.."
duration=${1:-10s}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# targets prints a line "./folder FuzzName" for each target of this module.
targets() {
	find . \( -name 'testdata' -o -name '.?*' \) -prune -o -name '*_test.go' -print |
		sort | while read -r file; do
		sed -nE "s|^func (Fuzz[A-Za-z0-9_]*)\(.*|$(dirname "$file") \1|p" "$file"
	done
}

run() { # run FOLDER NAME: one target; its output goes to the terminal and the log
	go test -run='^$' -fuzz="^$2\$" -fuzztime="$duration" "$1" </dev/null 2>&1 | tee "$log"
}

# cut_short tells whether the last run failed only because its time ended while
# an input was being tried: Go 1.26 sometimes calls that a failure (Go issue
# 75804). A real finding names the input that failed.
cut_short() {
	grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"
}

count=0 failed=()
while read -r folder name; do
	count=$((count + 1))
	echo "fuzz: $name in $folder for $duration"
	if run "$folder" "$name"; then continue; fi
	if cut_short; then
		echo "fuzz: $name was cut short by the end of its time; once more"
		if run "$folder" "$name"; then continue; fi
	fi
	failed+=("$name in $folder")
done < <(targets)

if [ "$count" -eq 0 ]; then
	echo "fuzz: this module has no Fuzz target" >&2
	exit 1
fi
if [ ${#failed[@]} -gt 0 ]; then
	printf 'fuzz: failed: %s\n' "${failed[@]}" >&2
	exit 1
fi
echo "fuzz: all $count targets ran without a finding"
