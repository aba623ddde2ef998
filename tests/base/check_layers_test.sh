#!/bin/sh
# tools/check-layers on a made-up tree: every arrow that it must refuse, and those that it must not.
set -eu
tool=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
passed=0 failed=0

# file INCLUDE expected(good|bad)
try() {
  rm -rf "${root:?}/src" "$root/cli" "$root/server"
  mkdir -p "$root/src/base" "$root/$(dirname "$1")"
  printf '/* a file */\n#include <stdio.h>\n#  include %s\n' "$2" >"$root/$1"
  if out=$("$tool" "$root" 2>&1); then got=good; else got=bad; fi
  if [ "$got" = bad ]; then
    case $out in "$1":[123]:*) ;; *) got="bad, without its place: $out" ;; esac
  fi
  if [ "$got" = "$3" ]; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "$1 includes $2: $got, not $3" >&2
  fi
}

try src/base/a.c '"base/b.h"' good
try src/base/a.c '"ledge/types.h"' good
try src/base/a.c '"ledge/ledge.h"' bad
try src/base/a.c '"tensor/tensor.h"' bad
try src/tensor/a.h '"base/arena.h"' good
try src/tensor/a.def '"graph/graph.h"' bad
try src/kernels/gemm/a.c '"kernels/gemm/gemm.h"' good
try src/kernels/gemm/a.c '"kernels/simd/avx2.h"' good
try src/kernels/gemm/a.c '"graph/graph.h"' bad
try src/graph/a.c '"kernels/gemm/gemm.h"' bad
try src/media/a.c '"text/unicode.h"' bad
try src/ops/a.c '"media/image.h"' good
try src/ops/a.c '"passes/fold.h"' bad
try src/passes/a.c '"ops/op.h"' good
try src/passes/a.c '"families/llama.h"' bad
try src/formats/onnx/a.c '"formats/onnx/wire.h"' good
try src/formats/onnx/a.c '"graph/graph.h"' good
try src/formats/onnx/a.c '"ops/op.h"' bad
try src/formats/onnx/a.c '"formats/npy/npy.h"' bad
try src/backend/cpu/a.c '"passes/pass.h"' good
try src/backend/cpu/a.c '"plan/plan.h"' bad
try src/plan/a.c '"backend/backend.h"' good
try src/plan/a.c '"formats/onnx/onnx.h"' bad
try src/runtime/a.c '"formats/onnx/onnx.h"' good
try src/runtime/a.c '"lm/sampler.h"' bad
try src/lm/a.c '"runtime/session.h"' good
try src/train/a.c '"compress/prune.h"' bad
try src/linux/a.c '"graph/graph.h"' bad
try src/net/a.c '"tensor/tensor.h"' good
try src/api/a.c '"ledge/ledge.h"' good
try src/api/a.c '"runtime/session.h"' good
try src/base/a.c '"../tensor/tensor.h"' bad
try src/nowhere/a.c '"base/arena.h"' bad
try cli/a.c '"ledge/ledge.h"' good
try cli/a.c '"cli.h"' good
try cli/a.c '"base/mem.h"' bad
try server/a.c '"runtime/session.h"' bad
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
