"""Who may read and write the store: whose folders it has, and their modes, whatever the umask is."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path

from incamera.errors import StoreError

# Others can reach a file of which they know the path, as a server does that has given up root's rights. They cannot
# list the folder. Private folders are closed.
PATH_ONLY = 0o711
_PRIVATE = 0o700
_NEEDED = ("blobs", "trees", "tmp", "locks")
_MODES = dict.fromkeys(("caches", "devices", "holder", "keys", "locks", "logs", "shares", "virtual"), _PRIVATE)
_MODES |= dict.fromkeys(("blobs", "trees", "tmp"), PATH_ONLY)
_OTHERS_WRITE = 0o022


def open_folders(root: Path) -> dict[str, os.stat_result]:
    """Make the folders of the store that are missing, and set their modes. Returns what is in the store, by name.

    Raises StoreError when another user owns one, or can write to it: he could have replaced a program. Nothing is kept
    in an empty folder that others can write to, so that is only closed. Raises StoreError also when one is a file or a
    link to nothing, and OSError.
    """
    status = root.stat()
    found = _statuses(root)
    _require_folders(root, found)
    trees = _statuses(root / "trees") if "trees" in found else {}
    _require_own({"": status}, root, root, allowed=0 if found else _OTHERS_WRITE)
    _require_own(found, root, root)
    _require_own(trees, root / "trees", root)
    _set_mode(root, PATH_ONLY, status)
    for name in (*_NEEDED, "caches"):
        if name not in found:
            # Without caches, a store that cannot be written can still be read.
            with nullcontext() if name in _NEEDED else suppress(OSError):
                (root / name).mkdir(_MODES[name], exist_ok=True)
    for name in found.keys() & _MODES.keys():
        _set_mode(root / name, _MODES[name], found[name])
    return found if found.keys() >= set(_NEEDED) else _statuses(root)


def _statuses(folder: Path) -> dict[str, os.stat_result]:
    """Return the status of everything in *folder* that is still there, by name; links are followed."""
    statuses = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                statuses[entry.name] = entry.stat()
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ELOOP):  # it went, or is a link that leads nowhere
                    raise
    return statuses


def _require_folders(root: Path, found: Mapping[str, os.stat_result]) -> None:
    for name in _MODES:
        path = root / name
        if name in found:
            problem = "" if stat.S_ISDIR(found[name].st_mode) else "is a file, not a folder"
        else:
            problem = "is a link that leads nowhere" if path.is_symlink() else ""
        if problem:
            raise StoreError(
                f"the store {root} is damaged: {path} {problem}", hint="move it away, and the folder is made again"
            )


def _set_mode(path: Path, mode: int, status: os.stat_result) -> None:
    if stat.S_IMODE(status.st_mode) != mode:
        with suppress(OSError):  # the disk is read-only
            path.chmod(mode)


def _require_own(statuses: Mapping[str, os.stat_result], folder: Path, root: Path, *, allowed: int = 0) -> None:
    user = os.geteuid()
    for name, status in statuses.items():
        if status.st_uid != user:
            raise StoreError(
                f"the store {root} is not yours: {folder / name} belongs to {_user_name(status.st_uid)}",
                hint="set INCAMERA_STORE to a folder of your own. Programs are run from the store, so users cannot "
                "share one",
            )
        if status.st_mode & _OTHERS_WRITE & ~allowed:
            import shlex  # lazy: only for a message

            raise StoreError(
                f"the store {root} is not safe: other users can write to {folder / name}, and could have replaced "
                "programs in it",
                hint="remove the store, and it is filled again; or, if you trust all users of this computer: "
                f"`chmod -R go-w {shlex.quote(str(root))}`, then `incamera store verify`",
            )


def _user_name(uid: int) -> str:
    import pwd  # lazy: only for a message

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"
