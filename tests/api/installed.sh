#!/bin/sh
# An example compiles and runs from the installed files alone. Usage: installed.sh BUILD SOURCE
set -eu
export XDG_CACHE_HOME=/dev/null # the user's cache of weights is not for tests
build=$1
source=$2
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
DESTDIR=$prefix meson install -C "$build" --no-rebuild --quiet >/dev/null
libdir=$(dirname "$(find "$prefix" -name libledge.so)")
include=$(dirname "$(dirname "$(find "$prefix" -name ledge.h)")")
[ -n "$(find "$prefix" -name ledge.pc)" ]
${CC:-cc} -std=c17 -Wall -Wextra -Werror -I "$include" "$source/examples/classify.c" -L "$libdir" -lledge -o "$prefix/classify"
LD_LIBRARY_PATH=$libdir "$prefix/classify" "$source/models/keyword/keyword.onnx" | grep -q '^class '
echo "1 passed, 0 failed"
