"""The known way: a Debian root for the camera's architecture, its programs run by qemu-user, packages from apt-get.

Installs the packages that a lock for numpy names. Needs root, Linux 6.7 or newer (for a binfmt_misc of its own, so that
nothing stays registered), wget, gpgv, ar, unshare and nsenter; debootstrap and qemu-user come from Debian packages.
Nothing is mounted outside of a private namespace.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from incamera.build.deb_trees import ensure_deb_tree
from incamera.console import Console
from incamera.context import Context
from incamera.debian.mirror import find_mirror
from incamera.targets.host import require_host
from incamera.targets.packages import DebSet
from incamera.targets.target import Target
from measure import INCAMERA, CannotMeasure, Failed, Figure, environment, main, new_project, run, say, temporary_folder

_NEEDED = ("ar", "chroot", "gpgv", "nsenter", "unshare", "wget")
_USERS = 65536
# By Debian's names: qemu-user's program; the class and the machine in an ELF header.
_QEMU = {"armhf": ("qemu-arm-static", 1, 0x28), "arm64": ("qemu-aarch64-static", 2, 0xB7)}
# Device nodes cannot be made in a user namespace, so the host's are bound. debootstrap does without in "lxc".
_PREPARE = r"""
set -e
mkdir -p "$ROOT/dev" "$BINFMT"
mount -t binfmt_misc binfmt_misc "$BINFMT"
printf '%s' "$RULE" > "$BINFMT/register"
for device in null zero full random urandom tty ptmx; do
  : > "$ROOT/dev/$device"
  mount --bind "/dev/$device" "$ROOT/dev/$device"
done
: > "$ROOT/dev/console"
"""
_EMULATED = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
_APT = (*_EMULATED, "container=lxc", "apt-get", "--yes", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0")


class KnownWay:
    def __init__(self, folder: Path, target: Target, enter: Sequence[str]) -> None:
        self.root = folder / "root"
        self.folder = folder
        self.suite = target.suite
        self.architecture = target.architecture.facts.debian
        self.enter = enter
        self.mirror = find_mirror(os.environ)
        self.tools = self._fetch_tools()
        self.figures: list[Figure] = []
        (folder / "debs").mkdir()

    def _fetch_tools(self) -> Path:
        context = Context.open(Console(), environment(self.folder / "store"))
        debs = DebSet(
            suite="bookworm",
            architecture=require_host().debian,
            roots=("debootstrap", "debian-archive-keyring", "qemu-user-static"),
            leave_out=frozenset({"wget", "distro-info", "libc6"}),
        )
        return ensure_deb_tree(context, "known way", debs)

    def prepare(self) -> None:
        qemu, bits, machine = _QEMU[self.architecture]
        magic = rf"\x7fELF\x0{bits}\x01\x01" + r"\x00" * 9 + rf"\x02\x00\x{machine:02x}\x00"
        mask = r"\xff" * 7 + r"\x00" + r"\xff" * 8 + r"\xfe" + r"\xff" * 3
        rule = f":incamera-bench:M::{magic}:{mask}:{self.tools / 'usr/bin' / qemu}:PF"
        settings = {"ROOT": str(self.root), "BINFMT": str(self.folder / "binfmt"), "RULE": rule}
        try:
            run([*self.enter, "sh", "-c", _PREPARE], env=os.environ | settings)
        except Failed as error:
            raise CannotMeasure(f"this system allows no binfmt_misc in a namespace: {error}") from error

    def measure(self, packages: Sequence[str], archives: Collection[str]) -> list[Figure]:
        self.debootstrap("download the base", "--download-only", str(self.folder / "downloads"))
        self.prepare()
        self.debootstrap("unpack the base (native)", "--foreign", str(self.root))
        self.emulate(
            "second stage of the base", *_EMULATED, "container=lxc", "/debootstrap/debootstrap", "--second-stage"
        )
        run([*self.enter, "mount", "-t", "proc", "proc", str(self.root / "proc")])
        # The archives that the lock uses: some mirrors' security archive lacks an architecture.
        suites = {"main": self.suite.name, "security": self.suite.security}
        sources = [f"deb {self.mirror.base(archive)} {suites[archive]} main" for archive in archives]
        (self.root / "etc/apt/sources.list").write_text("\n".join(sources) + "\n")
        self.emulate("apt-get update", *_APT, "update")
        self.emulate("download the packages", *_APT, "--download-only", "install", *packages)
        self.emulate("apt-get install", *_APT, "install", *packages)
        run([*self.enter, "chroot", str(self.root), "python3", "-c", "import numpy"])  # a root that works, or none
        size = sum(path.lstat().st_size for path in self.root.rglob("*") if path.is_file() and not path.is_symlink())
        seconds = sum(figure.value for figure in self.figures)
        downloads = sum(figure.value for figure in self.figures if figure.name.startswith("download"))
        return [
            *self.figures,
            Figure(name="the known way, whole", value=seconds, unit="s"),
            Figure(name="the known way, downloads left out", value=seconds - downloads, unit="s"),
            Figure(name="its size", value=size / 1e6, unit="MB"),
        ]

    def debootstrap(self, name: str, stage: str, destination: str) -> None:
        share = self.tools / "usr/share"
        self.step(
            name,
            *("env", f"DEBOOTSTRAP_DIR={share}/debootstrap", "container=lxc"),
            *("sh", str(self.tools / "usr/sbin/debootstrap"), stage, "--variant=minbase"),
            *(f"--arch={self.architecture}", f"--cache-dir={self.folder / 'debs'}"),
            f"--keyring={share}/keyrings/debian-archive-keyring.gpg",
            *(self.suite.name, destination, self.mirror.main),
        )

    def emulate(self, name: str, *argv: str) -> None:
        self.step(name, "chroot", str(self.root), *argv)

    def step(self, name: str, *argv: str) -> None:
        say(name)
        self.figures.append(Figure(name=name, value=run([*self.enter, *argv]).seconds, unit="s"))


@contextmanager
def namespace(seconds: int) -> Iterator[list[str]]:
    """Make a user, mount and process namespace, and yield the words that start a command in it.

    When it ends, or we do, whatever runs and is mounted in it is gone.
    """
    argv = ["unshare", "--user", "--mount", "--pid", "--fork", "--kill-child", "sleep", str(seconds)]
    with subprocess.Popen(argv) as holder:
        try:
            first = _wait_for_child(holder.pid)
            for kind in ("uid", "gid"):
                Path(f"/proc/{holder.pid}/{kind}_map").write_text(f"0 0 {_USERS}")
            yield ["nsenter", f"--target={first}", "--user", "--mount", "--pid", "--setuid=0", "--setgid=0", "--"]
        finally:
            holder.kill()  # unshare itself is deaf to anything less


def _wait_for_child(pid: int) -> int:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if words := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            return int(words[0])
        time.sleep(0.01)
    raise CannotMeasure("this system allows no user namespace")


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    if os.geteuid() != 0:
        raise CannotMeasure("a root of another architecture is made by root: run this with sudo")
    if missing := [program for program in _NEEDED if shutil.which(program) is None]:
        raise CannotMeasure(f"install {', '.join(missing)} first")
    with temporary_folder() as folder, namespace(arguments.timeout) as enter:
        folder.chmod(0o755)  # apt's own user must reach its root
        say("choose the packages, fetch debootstrap and qemu-user")
        project = new_project(folder)
        argv = [INCAMERA, "lock", "--target", arguments.target]
        run(argv, env=environment(folder / "store"), cwd=project)
        lock = tomllib.loads(next(project.glob("pylock.*.toml")).read_text())
        debs = lock["tool"]["incamera"]["debs"]
        packages = ["python3", "python3-numpy", *(deb["package"] for deb in debs)]
        archives = sorted({"main", *(deb["archive"] for deb in debs)})
        return KnownWay(folder, Target.parse(arguments.target), enter).measure(packages, archives)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", default="armv7hf", help="the target (%(default)s)")


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=1800, add_options=add_options))
