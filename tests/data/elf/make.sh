#!/bin/sh
# Makes the tiny ELF files beside this script. ZIG: the zig to use (default: `python3 -m ziglang`).
set -eu
cd "$(dirname "$0")"
zig=${ZIG:-python3 -m ziglang}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/answer.c" <<'C'
#include <math.h>
double answer(double question) { return pow(question, 42.0); }
C
cat >"$work/main.c" <<'C'
int main(void) { return 0; }
C
printf 'LIB_1.0 { global: old; };\nLIB_2.0 { global: answer; } LIB_1.0;\n' >"$work/versions"
printf 'int old(void) { return 1; }\nint answer(void) { return 2; }\n' >"$work/versioned.c"

for pair in armv7hf:arm-linux-gnueabihf.2.28 aarch64:aarch64-linux-gnu.2.28; do
    name=${pair%%:*}
    compile="$zig cc -target ${pair#*:} -Os -s -Wl,--build-id=none"
    $compile -shared -fPIC -Wl,-soname,libanswer.so.1 -Wl,-rpath,'$ORIGIN/lib:/opt/lib' "$work/answer.c" -lm -o "$name-library.so"
    $compile -shared -fPIC -nostdlib -Wl,-soname,libversioned.so.2 -Wl,--version-script="$work/versions" "$work/versioned.c" \
        -o "$name-versions.so"
    $compile "$work/main.c" -o "$name-program"
done
rm -f ./*.lib ./*.pdb
ls -l
