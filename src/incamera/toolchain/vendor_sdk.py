"""The sysroot of the vendor's SDK in a build, beside Debian's, which has the C library, the compiler's and Python's.

What both have comes from Debian: the bundle has Debian's C library, and a module that was compiled with the headers of
a newer one would not load. The rest is linked into a folder of the build, which is searched last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# The folder of the build's sysroot with what only the SDK has. Its pkg-config files have this path.
SDK = "sdk"

_LIBRARIES = ("usr/lib", "lib")
_PKG_CONFIG = ("usr/lib/pkgconfig", "usr/share/pkgconfig")
# The C library, the compiler's own, and Python's. With zig, Debian's sysroot has none of the first.
_OF_THE_COMPILER = re.compile(
    r"(?:ld-|lib(?:c|m|mvec|pthread|dl|rt|util|resolv|anl|nsl|nss_\w+|thread_db|BrokenLocale|pcprofile|memusage)[.-]|"
    r"libc_nonshared|libpthread_nonshared|libstdc\+\+|libsupc\+\+|libgcc|libgomp|libatomic|libssp|libpython|python|"
    r"[A-Za-z]*crt[1in]?\.o|c\+\+$|gcc$)"
)
_SYSTEM_PATH = re.compile(r"(?<![\w./}-])/usr(?=/|[\s\"';]|$)", re.MULTILINE)
# In bytes.
_LONGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class SdkFiles:
    """The SDK's *sysroot*, and the *flags* for the compiler that its own script sets."""

    sysroot: Path
    flags: tuple[str, ...]


def link_sdk(sdk: SdkFiles, folder: Path, debian: Path, gnu: str) -> None:
    """Make *folder*, with links to what of *sdk* the tree *debian* lacks, and its pkg-config files."""
    include, libraries = folder / "usr/include", folder / "usr/lib"
    for path in (include, libraries, folder / "usr/share", libraries / "pkgconfig", folder / "usr/share/pkgconfig"):
        path.mkdir(parents=True)
    usr = debian / "usr"
    _link(sdk.sysroot / "usr/include", include, (usr / "include", usr / "include" / gnu))
    for place in _LIBRARIES:
        if not (sdk.sysroot / place).is_symlink():  # lib -> usr/lib
            _link(sdk.sysroot / place, libraries, (usr / "lib" / gnu, usr / "lib"))
    for place in _PKG_CONFIG:
        for path in _files(sdk.sysroot / place):
            if path.suffix == ".pc" and path.is_file() and path.stat().st_size <= _LONGEST:
                text = _SYSTEM_PATH.sub(f"/{SDK}/usr", path.read_text("utf-8", "replace"))
                (folder / place / path.name).write_text(text, "utf-8")


def _link(source: Path, destination: Path, hidden_by: Sequence[Path]) -> None:
    for path in _files(source):
        link = destination / path.name
        if _OF_THE_COMPILER.match(path.name) or link.is_symlink() or link.exists():
            continue
        if not any((folder / path.name).exists() for folder in hidden_by):
            link.symlink_to(path)


def _files(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.iterdir())) if folder.is_dir() else iter(())


def change_command(command: Sequence[str], sdk: SdkFiles, folder: Path, own: Sequence[str], *, gcc: bool) -> list[str]:
    """Return the compiler's *command* with the flags of *sdk*, linked in *folder*, in place of our *own*.

    zig has names of its own for processors, and takes only the macros of those flags.
    """
    libraries = folder / "usr/lib"
    if not gcc:
        return [*command, *(flag for flag in sdk.flags if flag.startswith(("-D", "-U"))), f"-L{libraries}"]
    if any(flag.startswith("-m") for flag in sdk.flags):
        command = [word for word in command if word not in own]
    # The SDK's libraries may need a newer C library than the one that is linked with: the camera has that.
    search = [f"-L{libraries}", f"-Wl,-rpath-link,{libraries}", "-Wl,--allow-shlib-undefined"]
    return [*command, *sdk.flags, *search]
