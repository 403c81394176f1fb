#!/bin/sh
# Something to watch: for about SECONDS (default 20) it computes, writes files, and starts many children
# that live for a moment, as builds and scripts do. Ends by itself and removes what it wrote.
seconds=${1:-20}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
end=$(($(date +%s) + seconds))
round=0

while [ "$(date +%s)" -lt "$end" ]; do
	round=$((round + 1))
	dd if=/dev/zero of="$folder/file$((round % 8))" bs=1M count=4 2>/dev/null
	gzip -kf "$folder/file$((round % 8))"
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		/bin/true
	done
	sleep 0.2
done
echo "example: $round rounds done"
