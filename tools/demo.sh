#!/bin/sh
# The main job from end to end with nothing to download: data, weights, conversion, verdict.
set -eu
run() { echo; echo "\$ $*"; PATH="$BIN:$PATH" "$@"; }

run videohub demo demo-run
run videohub show slowfast_motions
run videohub fetch slowfast_motions
run videohub convert demo/SLOWFAST_MOTIONS.pkl --model slowfast_motions -o demo-run/slowfast_motions.safetensors
run videohub predict demo-run/videos/test_00000.mp4 --model slowfast_motions --topk 3
run videohub verify slowfast_motions --data demo-run/test.csv --out demo-run/report
