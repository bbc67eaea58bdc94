"""Plans the toolchain for a target: its compiler, and the Debian packages of interpreter, compiler and sysroot."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from incamera.errors import ConfigError
from incamera.names import did_you_mean
from incamera.targets.packages import DebSet
from incamera.toolchain.pinned_wheel import PinnedWheel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from incamera.targets.host import Host
    from incamera.targets.target import Target


class Compiler(StrEnum):
    gcc = "gcc"
    zig = "zig"

    @classmethod
    def parse(cls, text: str) -> Compiler:
        """Return the compiler called *text*. Raises ConfigError for an unknown one."""
        try:
            return cls(text)
        except ValueError:
            hint = did_you_mean(text, cls) or "choose one of: " + ", ".join(cls)
            raise ConfigError(f'unknown compiler "{text}"', hint=hint) from None


@dataclass(frozen=True, kw_only=True, slots=True)
class GccVersion:
    """A suite's gcc. `native`: for a GNU triplet, the Debian architecture on which it is the native compiler."""

    version: str
    native: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Compilers:
    """The content of `data/compilers.toml`."""

    default: Compiler
    gcc: Mapping[str, GccVersion]
    zig_version: str
    zig_wheels: Mapping[str, PinnedWheel]


@cache
def load_compilers() -> Compilers:
    """Return the compilers that incamera can use."""
    text = resources.files("incamera.toolchain").joinpath("data/compilers.toml").read_text("utf-8")
    table = tomllib.loads(text)
    return Compilers(
        default=Compiler.parse(table["default"]),
        gcc={suite: GccVersion(**facts) for suite, facts in table["gcc"].items()},
        zig_version=table["zig"]["version"],
        zig_wheels={machine: PinnedWheel.parse(facts) for machine, facts in table["zig"]["wheels"].items()},
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolchainPlan:
    """The packages of a toolchain. `compiler_tree` is None for zig, which is not a Debian package."""

    target: Target
    compiler: Compiler
    interpreter: DebSet
    compiler_tree: DebSet | None
    sysroot: DebSet


# Dependencies of the interpreter that no build back end needs: terminals, Kerberos, time zones, MIME types.
_INTERPRETER_LEAVE_OUT = frozenset(
    (
        *("debconf", "gcc-12-base", "gcc-14-base", "media-types", "mime-support", "netbase", "tzdata"),
        *("libdb5.3", "libdb5.3t64", "libgdbm6", "libgdbm6t64", "openssl-provider-legacy"),
        *("libgssapi-krb5-2", "libnsl2", "libtirpc3", "libtirpc3t64"),
        *("libncursesw6", "libreadline8", "libreadline8t64", "libtinfo6", "readline-common"),
    )
)

# Dependencies of -dev packages that no compiler reads: programs that run on the target, and their data.
_SYSROOT_LEAVE_OUT = frozenset(
    (
        *("gcc-12-base", "gcc-14-base", "media-types", "openssl-provider-legacy", "perl", "perl:any", "python3"),
        *("python3:any", "python3-distutils", "tzdata"),
    )
)


def plan_toolchain(target: Target, compiler: Compiler, host: Host, dev: Sequence[str] = ()) -> ToolchainPlan:
    """Return the packages of a toolchain for *target* on *host*.

    *dev*: Debian packages (`libjpeg-dev`) for the sysroot. Each set of them makes a sysroot of its own.
    """
    suite, python = target.suite.name, target.python
    return ToolchainPlan(
        target=target,
        compiler=compiler,
        # pkgconf: the host's may be missing, and its answers would depend on the host. patchelf: for repairing wheels.
        interpreter=DebSet(
            architecture=host.debian,
            suite=suite,
            roots=(f"python{python}", "pkgconf-bin", "patchelf"),
            leave_out=_INTERPRETER_LEAVE_OUT,
        ),
        compiler_tree=_gcc_tree(target, host) if compiler is Compiler.gcc else None,
        sysroot=_sysroot(target, compiler, dev),
    )


def gcc_version(target: Target) -> GccVersion:
    """Return the gcc of the target's suite."""
    return load_compilers().gcc[target.suite.name]


def _gcc_tree(target: Target, host: Host) -> DebSet:
    facts = target.architecture.facts
    gcc = gcc_version(target)
    suffix = "" if gcc.native.get(facts.gnu) == host.debian else f"-{facts.gnu}"
    # The C library and its headers come from the sysroot. Those in the compiler's own tree would be found first.
    # Sanitisers would need their own runtime in the camera.
    cross = f"{facts.debian}-cross"
    without = {f"{name}-{cross}" for name in ("libc6", "libc6-dev", "linux-libc-dev")}
    without |= {"libc6-dev", "linux-libc-dev", "libc-dev-bin", "libcrypt-dev", "libnsl-dev", "libtirpc-dev"}
    for sanitiser in ("libasan8", "libhwasan0", "libitm1", "liblsan0", "libtsan2", "libubsan1"):
        without |= {sanitiser, f"{sanitiser}-{cross}"}
    without |= {f"gcc-{gcc.version}-base", f"gcc-{gcc.version}-cross-base", f"gcc-{gcc.version}-cross-base-ports"}
    return DebSet(
        architecture=host.debian,
        suite=target.suite.name,
        roots=(f"gcc-{gcc.version}{suffix}", f"g++-{gcc.version}{suffix}"),
        leave_out=frozenset(without),
    )


def _sysroot(target: Target, compiler: Compiler, dev: Sequence[str]) -> DebSet:
    # libpythonX.Y-minimal has the target's sysconfig data. Nothing in the sysroot is ever run.
    python = f"libpython{target.python}"
    roots = [f"{python}-dev", f"{python}-minimal"]
    # For each package, dependencies that a compiler does not need. They are included if another package needs them.
    unneeded = {
        f"{python}-dev": ("libexpat1-dev", "zlib1g-dev", python, f"{python}t64", f"{python}-stdlib"),
        f"{python}-minimal": ("libc6", "libssl3", "libssl3t64"),
        "libc6": ("libcrypt1", "libgcc-s1"),
        "libc6-dev": ("libc-dev-bin", "libcrypt-dev", "libnsl-dev", "libtirpc-dev", "rpcsvc-proto"),
    }
    without = {f"{needer}/{needed}" for needer, names in unneeded.items() for needed in names}
    without |= _SYSROOT_LEAVE_OUT
    if compiler is Compiler.gcc:
        roots.append("libc6-dev")
    else:  # zig has the headers and symbols of every glibc version
        without |= {"libc6", "libc6-dev", "linux-libc-dev"}
    return DebSet(
        architecture=target.architecture.facts.debian,
        suite=target.suite.name,
        roots=(*roots, *sorted(set(dev))),
        leave_out=frozenset(without),
    )


def select_for_sysroot(path: str) -> str | None:
    """Return *path*, or None for the static libpython: a back end would link it, a second interpreter, into modules."""
    return None if _STATIC_LIBPYTHON.search(path) else path


_STATIC_LIBPYTHON = re.compile(r"/libpython[^/]*\.a$")
