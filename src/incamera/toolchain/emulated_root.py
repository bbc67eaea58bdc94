"""The root folder of an emulated build: unpacked packages of the target, which are entered without root's rights."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera import proc
from incamera.targets.architecture import Architecture
from incamera.targets.packages import DebSet
from incamera.toolchain.alternatives import link_alternatives
from incamera.toolchain.isolation import Entry, make_root

if TYPE_CHECKING:
    from incamera.targets.host import Host
    from incamera.targets.target import Target
    from incamera.toolchain.interpreter import BuildInterpreter, HostTree

# Programs that builds expect on every system, besides the compilers.
_PROGRAMS = (
    *("bash", "binutils", "coreutils", "dash", "diffutils", "file", "findutils", "gawk", "grep", "gzip", "hostname"),
    # perl-base: autoconf and many other build tools are Perl scripts, and no package that needs it brings it along.
    *("libc-bin", "m4", "make", "patch", "perl-base", "pkgconf", "sed", "tar", "which", "xz-utils"),
)
# What maintainer scripts and the alternatives system of Debian link to programs; a star stands for a version.
_ALIASES = {
    "sh": "dash",
    "awk": "gawk",
    "nawk": "gawk",
    "which": "which.gnu",
    "cpp": "cpp-*",
    "cc": "gcc",
    "c++": "g++",
    "c89": "c89-gcc",
    "c99": "c99-gcc",
    # Of packages that a recipe may add with `dev`.
    "f77": "gfortran",
    "f95": "gfortran",
    "yacc": "bison.yacc",
    "automake": "automake-*",
    "aclocal": "aclocal-*",
}
_LEAVE_OUT = frozenset(
    (
        *("ca-certificates", "dpkg-dev", "libasan8", "liblsan0", "libtsan2", "libubsan1", "libhwasan0", "libitm1"),
        *("media-types", "mime-support", "netbase", "openssl", "readline-common", "tzdata", "install-info"),
    )
)
# The emulator is the same for all suites. It is a static program, since the root has no libraries of this computer.
_EMULATOR_SUITE = "bookworm"
_EMULATORS = {Architecture.armv7hf: "qemu-arm-static", Architecture.aarch64: "qemu-aarch64-static"}


@dataclass(frozen=True, kw_only=True, slots=True)
class EmulatedRootPlan:
    """The Debian packages of an emulated root. `emulator` is None when this host has the target's architecture."""

    tree: DebSet
    emulator: DebSet | None
    proot: DebSet


def plan_emulated_root(target: Target, host: Host, dev: Sequence[str] = ()) -> EmulatedRootPlan:
    """Return the Debian packages for emulated builds for *target*; *dev* are those that a recipe adds."""
    facts = target.architecture.facts
    roots = (f"python{target.python}", f"libpython{target.python}-dev", "gcc", "g++", "libc6-dev", *_PROGRAMS, *dev)
    emulated = facts.debian != host.debian
    return EmulatedRootPlan(
        tree=DebSet(suite=target.suite.name, architecture=facts.debian, roots=roots, leave_out=_LEAVE_OUT - set(dev)),
        emulator=_host_tools(host, "qemu-user-static") if emulated else None,
        proot=_host_tools(host, "proot"),
    )


def _host_tools(host: Host, package: str) -> DebSet:
    return DebSet(suite=_EMULATOR_SUITE, architecture=host.debian, roots=(package,))


def select_emulator(target: Target, path: str) -> str | None:
    """Return *path* if it is the emulator for *target*, else None: the package has emulators of thirty processors."""
    return path if path == f"usr/bin/{_EMULATORS[target.architecture]}" else None


def complete_tree(tree: Path, target: Target, interpreter: BuildInterpreter) -> None:
    """Make what Debian's maintainer scripts would make in *tree*: some links, and byte-code."""
    link_aliases(tree / "usr/bin", target)
    link_alternatives(tree, target)
    compile_modules(interpreter, tree / "usr/lib", "/usr/lib")


def link_aliases(binaries: Path, target: Target) -> None:
    """Link the names that builds expect to the programs in *binaries*, unless the names are there."""
    for name, pattern in {**_ALIASES, "python3": f"python{target.python}"}.items():
        link = binaries / name
        found = sorted(path.name for path in binaries.glob(pattern))
        if found and not link.is_symlink() and not link.exists():
            link.symlink_to(found[-1])


def compile_modules(interpreter: BuildInterpreter, folder: Path, inside: str) -> None:
    """Byte-compile all modules below *folder*, whose path in the root is *inside*. On the host, this is much faster."""
    # Modules for other versions of Python, which don't compile, are no error.
    script = "import compileall; compileall.compile_dir({0!r}, quiet=2, stripdir={0!r}, prependdir={1!r})"
    code = script.format(str(folder), inside)
    proc.run(interpreter.argv("-I", "-c", code), purpose=f"compile the modules of {inside}")


@dataclass(frozen=True, kw_only=True, slots=True)
class EmulatedRoot:
    """What emulated builds for a target run in.

    `tree`: the target's packages, unpacked. `emulator`: None when this host has the target's architecture.
    `interpreter`: a Python for this host, which runs pip. `namespaces`: whether to try Linux namespaces before proot.
    """

    target: Target
    tree: Path
    emulator: Path | None
    proot: HostTree | None
    interpreter: BuildInterpreter
    namespaces: bool = True

    def make(self, folder: Path) -> None:
        """Make the empty *folder* a root into which the tree can be mounted."""
        shutil.copytree(self.tree / "etc", folder / "etc", symlinks=True)
        make_root(folder)
        for name in ("usr", "build", "requirements", "hooks", "call"):
            (folder / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (folder / name).symlink_to(f"usr/{name}")

    def entry(
        self,
        folder: Path,
        argv: Sequence[str],
        *,
        read_only: Mapping[str, Path],
        writable: Mapping[str, Path],
        environment: Mapping[str, str],
        refusals: Path | None = None,
    ) -> list[str]:
        """Return the command line that runs *argv* in the project's folder in *folder*, which `make` has made.

        *read_only* and *writable*: folders of this computer by their path in the root. *refusals*: the socket of an
        isolated build (`network.py`), for which proot alone won't do.
        """
        tools = [] if self.proot is None else [self.proot.root]
        tools += [] if self.emulator is None else [self.emulator]
        entry = Entry(
            root=folder,
            cwd="/build/project",
            # The emulated processor is the oldest of that architecture's cameras, so builds detect no newer features.
            environment={"QEMU_CPU": self.target.architecture.facts.zig_cpu.replace("_", "-"), **environment},
            read_only={"/usr": self.tree / "usr", **{str(path): path for path in tools}, **read_only},
            writable=writable,
            refusals=refusals,
            more={
                "namespaces": self.namespaces,
                "strict": refusals is not None,
                "binfmt": self._binfmt(),
                "proot": self._proot(),
            },
        )
        return entry.command(argv)

    def _proot(self) -> list[str] | None:
        if self.proot is None:
            return None
        words = self.proot.argv(self.proot.root / "usr/bin/proot")
        return words if self.emulator is None else [*words, "-q", str(self.emulator)]

    def _binfmt(self) -> str | None:
        """Return the rule by which the kernel recognises the target's programs; see the kernel's binfmt-misc.rst."""
        if self.emulator is None:
            return None
        # The first 20 bytes of an ELF file: class, byte order, …, program or library, machine. Any OS ABI will do.
        elf_class, machine = {"EM_ARM": (1, 0x28), "EM_AARCH64": (2, 0xB7)}[self.target.architecture.facts.elf_machine]
        magic = rf"\x7fELF\x0{elf_class}\x01\x01" + r"\x00" * 9 + rf"\x02\x00\x{machine:02x}\x00"
        mask = r"\xff" * 7 + r"\x00" + r"\xff" * 8 + r"\xfe" + r"\xff" * 3
        # F: the kernel opens the emulator now, so it need not be in the root. P: the program gets its own argv[0].
        return f":incamera:M::{magic}:{mask}:{self.emulator}:PF"
