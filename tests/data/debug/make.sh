#!/bin/sh
# Makes the libraries with debug information beside this script, with the gcc of an x86-64 computer.
set -eu
cd "$(dirname "$0")"
for pair in x86_64:64 i386:32; do
    gcc -m"${pair#*:}" -g -O2 -fPIC -shared -nostdlib -Wl,--build-id,-z,noseparate-code \
        -ffile-prefix-map="$PWD"=/incamera/project lines.c -o "${pair%%:*}.so"
done
ls -l
