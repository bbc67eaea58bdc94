"""Makes the sdist and the wheel of incamera, in the folder that is named: `make dist`.

The sdist has what git has committed; the wheel is built of the sdist, as pip does it. The same commit gives the same
bytes again: all times are SOURCE_DATE_EPOCH, or else that of the commit.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def make_dist(destination: Path, *, checkout: Path = CHECKOUT, epoch: int | None = None) -> tuple[Path, Path]:
    """Write the sdist and the wheel of the commit that *checkout* is at to *destination*, and return their paths."""
    if epoch is None:
        epoch = int(_git(checkout, "log", "-1", "--format=%ct"))
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        _unpack(_git(checkout, "archive", "--format=tar", "HEAD"), source)
        sdist = _build("sdist", source, destination, epoch)
        with tarfile.open(sdist) as archive:
            archive.extractall(scratch, filter="data")
        return sdist, _build("wheel", Path(scratch) / sdist.name.removesuffix(".tar.gz"), destination, epoch)


def _build(kind: str, source: Path, destination: Path, epoch: int) -> Path:
    before = set(destination.glob("*"))
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(destination.absolute())]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    subprocess.run(command, cwd=source, env=environment, check=True, stdout=subprocess.DEVNULL)
    (made,) = set(destination.glob("*.tar.gz" if kind == "sdist" else "*.whl")) - before
    return made


def _unpack(archive: bytes, folder: Path) -> None:
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)


def _git(checkout: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(checkout), *arguments], check=True, capture_output=True).stdout


def main() -> None:
    destination = Path(sys.argv[1])
    destination.mkdir(parents=True, exist_ok=True)
    for old in (*destination.glob("incamera-*.tar.gz"), *destination.glob("incamera-*.whl")):
        old.unlink()
    if _git(CHECKOUT, "status", "--porcelain"):
        print("warning: changes that are not committed are left out", file=sys.stderr)
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    for path in make_dist(destination, epoch=int(epoch) if epoch else None):
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
