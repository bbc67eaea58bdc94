"""The web server of a virtual camera, Debian's Apache, a back end in Python behind it, and the system's bus (D-Bus).

They are in a folder that only the camera's root can enter, so no app finds Python, or a library of theirs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.axis_os.apache import APACHE_MODULES
from incamera.axis_os.facts import load_generations
from incamera.errors import UsageError
from incamera.targets.packages import DebSet
from incamera.virtual import cpio

if TYPE_CHECKING:
    from incamera.targets.profile import Profile

# In the camera; data/web.sh and incamera.axis_os.main have them, too.
FOLDER = "usr/libexec/axis"
STARTER = "usr/sbin/incamera-web"
BACK_END = "usr/sbin/incamera-back-end"
NOT_NEEDED = (
    "dbus-bin", "dbus-session-bus-common", "libaprutil1-dbd-sqlite3", "libaprutil1-ldap", "libbrotli1", "libcurl4t64",
    "libgdbm-compat4t64", "libgdbm6t64", "libjansson4", "liblua5.4-0", "libldap2", "libncursesw6", "libnghttp2-14",
    "libperl5.40", "libreadline8t64", "libsqlite3-0", "libxml2", "libdb5.3t64", "media-types", "netbase",
    "openssl-provider-legacy", "perl", "perl-modules-5.40", "readline-common", "tzdata",
)  # fmt: skip


def web_packages(profile: Profile) -> DebSet:
    """Return the packages of the web server and its back end for a virtual camera of *profile*.

    Raises UsageError for a profile whose AXIS OS is not among those whose answers are known.
    """
    number = profile.version.partition(".")[0]
    if number not in (known := load_generations()):
        raise UsageError(
            f"virtual cameras as AXIS OS {number} have no web server",
            hint=f"choose a profile of AXIS OS {', '.join(known)}",
        )
    return DebSet(
        suite=profile.suite,
        architecture=profile.architecture.facts.debian,
        roots=("apache2-bin", "dbus-daemon", "libpython3-stdlib", "python3-jeepney", "python3-minimal"),
        leave_out=frozenset(NOT_NEEDED),
    )


# Modules of incamera that the back end consists of: files, and folders with their data.
_BACK_END = (
    "__init__.py", "errors.py", "names.py", "archives", "axis_os", "eap/__init__.py", "eap/conf.py",
    "eap/conf_reading.py", "eap/data/axis_os.toml", "eap/data/manifest.toml", "eap/demands.py", "eap/manifest.py",
    "eap/prediction.py", "eap/schema.py", "eap/signer.py", "eap/summary.py",
)  # fmt: skip
_SUFFIXES = (".py", ".toml", ".txt")
# Of Python's library: what no back end needs. `_ssl` and `_hashlib` would load OpenSSL, which takes memory.
_LEFT_OUT = (
    "EXTERNALLY-MANAGED", "LICENSE.txt", "__phello__", "_pyrepl", "asyncio", "config-", "curses", "dbm",
    "ensurepip", "idlelib", "lib2to3", "lib-dynload/_asyncio.", "lib-dynload/_codecs_", "lib-dynload/_crypt.",
    "lib-dynload/_ctypes_test", "lib-dynload/_curses", "lib-dynload/_dbm.", "lib-dynload/_decimal.",
    "lib-dynload/_gdbm.", "lib-dynload/_hashlib.", "lib-dynload/_multibytecodec.", "lib-dynload/_multiprocessing.",
    "lib-dynload/_sqlite3.",
    "lib-dynload/_ssl.", "lib-dynload/_test", "lib-dynload/_uuid.", "lib-dynload/audioop.", "lib-dynload/nis.",
    "lib-dynload/readline.", "lib-dynload/xx", "lib2to3", "multiprocessing", "pydoc_data", "pydoc.py", "site-packages",
    "sqlite3", "test", "tkinter", "turtle.py", "unittest", "venv", "wsgiref", "xmlrpc",
)  # fmt: skip
_MODULES = "usr/lib/apache2/modules"
_PYTHON_PACKAGES = "usr/lib/python3/dist-packages"
# Of the library that speaks D-Bus: without what needs asyncio.
JEEPNEY = tuple(
    f"jeepney/{name}.py"
    for name in (
        *("__init__", "auth", "bus", "bus_messages", "fds", "low_level", "wrappers"),
        *("io/__init__", "io/blocking", "io/common"),
    )
)


def back_end_files() -> dict[str, bytes]:
    """Return the files of the back end, by their paths below the folder of incamera's modules."""
    root = Path(str(resources.files("incamera")))
    found = {}
    for name in _BACK_END:
        paths = sorted((root / name).rglob("*")) if (root / name).is_dir() else [root / name]
        for path in paths:
            if path.suffix in _SUFFIXES:
                found[path.relative_to(root).as_posix()] = path.read_bytes()
    return found


def web_members(tree: Path, userland: Path, profile: Profile) -> Iterator[cpio.Member]:
    """Yield the files of the web server, which is in *tree*; of its libraries those that are not in *userland*."""
    yield cpio.folder("usr/libexec")
    yield cpio.folder(FOLDER, 0o700)
    yield cpio.file(f"{FOLDER}/bin/axis-httpd", (tree / "usr/sbin/apache2").read_bytes(), 0o755)
    for path in sorted((tree / _MODULES).glob("*.so")):
        if path.stem.removeprefix("mod_") in APACHE_MODULES:
            yield cpio.file(f"{FOLDER}/modules/{path.name}", path.read_bytes(), 0o755)
    yield cpio.file(f"{FOLDER}/bin/dbus-daemon", (tree / "usr/bin/dbus-daemon").read_bytes(), 0o755)
    # Clients of the bus know its socket by the one name or the other.
    yield cpio.link("var/run", "/run")
    yield from _python(tree)
    libraries = f"usr/lib/{profile.architecture.facts.gnu}"
    ours = {path.name for path in (userland / libraries).glob("*.so*")}
    needed = (
        "libapparmor.", "libapr-", "libaprutil-", "libaudit.", "libbz2.", "libcap-ng.", "libcap.", "libcrypt.",
        "libdbus-1.", "libexpat.", "libffi.", "liblzma.", "libpcre2-8.", "libselinux.", "libsystemd.", "libuuid.",
    )  # fmt: skip
    found = [path for path in sorted((tree / libraries).glob("*.so*")) if path.name.startswith(needed)]
    linked = {path.readlink().name for path in found if path.is_symlink()}
    for path in found:
        if path.name not in ours | linked:
            yield cpio.file(f"{FOLDER}/lib/{path.name}", path.read_bytes(), 0o755)
    for name in JEEPNEY:
        yield cpio.file(f"{FOLDER}/back-end/{name}", (tree / _PYTHON_PACKAGES / name).read_bytes())
    for name, data in back_end_files().items():
        yield cpio.file(f"{FOLDER}/back-end/incamera/{name}", data)
    facts = {"version": profile.version, "architecture": str(profile.architecture)}
    yield cpio.file(f"{FOLDER}/camera.json", json.dumps(facts).encode())
    yield cpio.file(STARTER, _data("web.sh"), 0o755)
    yield cpio.file(BACK_END, _data("back-end.sh"), 0o755)


def _python(tree: Path) -> Iterator[cpio.Member]:
    (program,) = (path for path in (tree / "usr/bin").glob("python3.*") if path.name.rpartition(".")[2].isdecimal())
    yield cpio.file(f"{FOLDER}/bin/axis-back-end", program.read_bytes(), 0o755)
    folder = tree / "usr/lib" / program.name
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith(_LEFT_OUT) and path.suffix in (".py", ".so"):
            yield cpio.file(f"{FOLDER}/lib/{program.name}/{name}", path.read_bytes())


def _data(name: str) -> bytes:
    return resources.files("incamera.virtual").joinpath("data", name).read_bytes()
