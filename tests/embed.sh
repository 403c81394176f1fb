#!/bin/sh
# Build examples/embed.c against what `meson install --destdir FOLDER` put there, shared and static,
# and run both for a second.
set -eu
folder=$1
build=$2
pc=$(find "$folder" -name libtally.pc)
[ -n "$pc" ] || { echo "no libtally.pc below $folder"; exit 1; }
export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$folder"
library=$(dirname "$(find "$folder" -name libtally.so.0)")

${CC:-cc} -Wall -Wextra -Werror examples/embed.c $(pkg-config --cflags --libs libtally) -o "$folder/embed"
LD_LIBRARY_PATH=$library "$folder/embed" 1 | grep 'MiB'

# The static library, with what it needs: everything but libtally itself stays shared.
${CC:-cc} -Wall -Wextra -Werror examples/embed.c $(pkg-config --cflags libtally) \
	"$library/libtally.a" $(PKG_CONFIG_SYSROOT_DIR='' pkg-config --static --libs libtally |
		sed 's/-ltally//') -o "$folder/embed-static"
"$folder/embed-static" 1 | grep 'MiB'

# Nothing but the public API is visible.
hidden=$(nm -D --defined-only "$library/libtally.so.0" | awk '$2 != "A" { print $3 }' |
	grep -v '^tally_' || true)
[ -z "$hidden" ] || { echo "the library shows more than its API: $hidden"; exit 1; }
