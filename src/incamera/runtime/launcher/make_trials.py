"""Make trial_images.h: the smallest squashfs image of each compression, by which a camera's kernel is tried.

python make_trials.py MKSQUASHFS [WORD...]       (squashfs-tools 4.5, or how it is started)
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

COMPRESSIONS = ("gzip", "lz4", "lzo", "xz", "zstd")
SIZE = 4096
OPTIONS = "-noappend -quiet -no-progress -nopad -all-root -no-xattrs -no-exports -mkfs-time 0 -all-time 0"


def make_image(mksquashfs: list[str], compression: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tree").mkdir()
        (Path(folder) / "tree" / "trial").write_bytes(b"x" * SIZE)
        words = [*mksquashfs, f"{folder}/tree", f"{folder}/image", *OPTIONS.split(), "-comp", compression]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        return (Path(folder) / "image").read_bytes()


def as_c(data: bytes) -> str:
    # Octal, always three digits: what follows cannot run into it.
    lines = [data[i : i + 28] for i in range(0, len(data), 28)]
    return "\n".join('     "' + "".join(f"\\{byte:03o}" for byte in line) + '"' for line in lines)


def main() -> None:
    images = {name: make_image(sys.argv[1:], name) for name in COMPRESSIONS}
    rows = "".join(f'    {{"{name}", {len(data)},\n{as_c(data)}}},\n' for name, data in images.items())
    Path(__file__).with_name("trial_images.h").write_text(
        "/* Made by make_trials.py: a squashfs with one file, `trial`, of TRIAL_SIZE times the letter x. */\n"
        f"#define TRIAL_SIZE {SIZE}\n"
        "static const struct trial_image {\n    const char *compression;\n    size_t size;\n    const char *data;\n"
        f"}} trial_images[] = {{\n{rows}}};\n"
    )


if __name__ == "__main__":
    main()
