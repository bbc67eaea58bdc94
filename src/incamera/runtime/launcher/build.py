"""Build the launcher and the module `_crash` for every architecture, byte for byte the same wherever it is done.

    python build.py [--output FOLDER] [--zig PATH]

Needs zig ZIG_VERSION (`pip install ziglang==0.17.1`). Without --output, the binaries beside this file are replaced.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ZIG_VERSION = "0.17.1"
HERE = Path(__file__).resolve().parent
# The oldest processors of each architecture that a camera has; x86_64 is for trying it on the host. Thumb code is a
# quarter smaller; the vendor's SDK and Debian's armhf use it too.
TARGETS = {
    "armv7hf": ("thumb-linux-musleabihf", "-mcpu=cortex_a9"),
    "aarch64": ("aarch64-linux-musl", "-mcpu=cortex_a53"),
    "x86_64": ("x86_64-linux-musl", "-mcpu=x86_64"),
}
FLAGS = (
    *("-std=gnu11", "-Os", "-flto", "-static", "-s", "-Wall", "-Wextra", "-Wmissing-prototypes", "-Werror"),
    *("-ffunction-sections", "-fdata-sections", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables"),
    *("-fno-stack-protector", "-fno-sanitize=all", "-Wl,--gc-sections", "-Wl,--build-id=none"),
)
# `_crash` is loaded into Python, and so uses the C library that is there: one as old as any camera's.
MODULE_TARGETS = {
    "armv7hf": ("arm-linux-gnueabihf.2.28", "-mcpu=cortex_a9"),
    "aarch64": ("aarch64-linux-gnu.2.28", "-mcpu=cortex_a53"),
    "x86_64": ("x86_64-linux-gnu.2.28", "-mcpu=x86_64"),
}
MODULE_FLAGS = (
    *("-std=gnu11", "-Os", "-shared", "-fPIC", "-s", "-Wall", "-Wextra", "-Wmissing-prototypes", "-Werror"),
    *("-fvisibility=hidden", "-fno-stack-protector", "-fno-sanitize=all", "-Wl,--build-id=none"),
)


def build(architecture: str, output: Path, zig: list[str], cache: Path) -> None:
    """Write both binaries for *architecture* into the folder *output*."""
    output.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "ZIG_LOCAL_CACHE_DIR": str(cache), "ZIG_GLOBAL_CACHE_DIR": str(cache)}
    for name, (target, cpu), flags, sources in (
        ("launcher", TARGETS[architecture], FLAGS, sorted(path.name for path in HERE.glob("*.c"))),
        ("crash.so", MODULE_TARGETS[architecture], MODULE_FLAGS, ["crash/crash.c"]),
    ):
        command = [*zig, "cc", "-target", target, cpu, *flags, "-o", str(output / name), *sources]
        subprocess.run(command, cwd=HERE, env=environment, check=True)
        (output / name).chmod(0o755)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, default=HERE / "bin")
    parser.add_argument("--zig", type=Path)
    parser.add_argument("--cache", type=Path, help="a folder to keep zig's own cache in")
    parser.add_argument("architectures", nargs="*", default=list(TARGETS))
    arguments = parser.parse_args()
    zig = [str(arguments.zig)] if arguments.zig else [sys.executable, "-m", "ziglang"]
    version = subprocess.run([*zig, "version"], capture_output=True, text=True, check=True).stdout.strip()
    if version != ZIG_VERSION:
        sys.stderr.write(f"zig {ZIG_VERSION} is needed, this is {version}\n")
        return 1
    with tempfile.TemporaryDirectory() as cache:
        for architecture in arguments.architectures:
            build(
                architecture,
                arguments.output.absolute() / architecture,
                zig,
                arguments.cache or Path(cache),
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
