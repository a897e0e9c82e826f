#!/bin/sh
# Runs every fuzz target for a while: FUZZTIME each, 10s unless told.
set -eu

cd "$(dirname "$0")/.."
grep -rl '^func Fuzz' --include='*_test.go' . | sort | while read -r file; do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "$(dirname "$file"): $target"
		"${GO:-go}" test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10s}" "./$(dirname "$file")" </dev/null
	done
done
