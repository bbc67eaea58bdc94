"""The shares that are known, one file each, and which device has which.

<store>/shares/NAME.toml         a share; its password is in there, so nobody else may read it
<store>/shares/attached/DEVICE   the name of the share that this device was attached to
"""

from __future__ import annotations

import secrets
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.disk import write_atomic
from incamera.errors import ConfigError, StoreError, UsageError
from incamera.names import did_you_mean
from incamera.share.values import Protocol, Share

if TYPE_CHECKING:
    from incamera.context import Context

# In a share's folder: by it a camera's mount is known to be that folder.
MARKER = ".incamera-share"
_KEYS = {
    "folder": str, "protocol": str, "address": str, "port": int, "path": str, "user": str, "password": str,
    "served": bool,
}  # fmt: skip


def shares_folder(context: Context) -> Path:
    """Return the folder of the store that keeps the shares."""
    return context.store.root / "shares"


def load_shares(folder: Path) -> dict[str, Share]:
    """Return the shares written down in *folder* (`<store>/shares`), by name. Raises ConfigError."""
    return {path.stem: load_share(path) for path in sorted(folder.glob("*.toml"))}


def load_share(path: Path) -> Share:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
        for key, value in table.items():
            if not isinstance(value, _KEYS[key]):
                raise ValueError(f"{key} is not {_KEYS[key].__name__}")
        values = {"folder": Path(table["folder"]), "protocol": Protocol(table["protocol"])}
        return Share(**table | values, name=path.stem)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}", hint=f"mend it, or `incamera share remove {path.stem}` and begin again"
        ) from error


def require_share(folder: Path, name: str | None) -> Share:
    """Return the share called *name*, or the only one there is. Raises UsageError."""
    shares = load_shares(folder)
    if name is None and len(shares) == 1:
        return next(iter(shares.values()))
    if not shares:
        raise UsageError(
            "no share is known",
            hint="serve one with `incamera share serve`, or name one of your own with `incamera share add`",
        )
    if name is None:
        raise UsageError("several shares are known: " + ", ".join(shares), hint="name one")
    if name not in shares:
        raise UsageError(
            f'there is no share "{name}"', hint=did_you_mean(name, shares) or "known are " + ", ".join(shares)
        )
    return shares[name]


def save_share(folder: Path, share: Share) -> None:
    """Write *share* down; one of the same name is replaced."""
    import tomli_w

    values = {key: getattr(share, key) for key in _KEYS}
    table = {
        key: str(value) if isinstance(value, Path) else value for key, value in values.items() if value is not None
    }
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # What is written so can be read by its owner alone.
    write_atomic(folder / f"{share.name}.toml", tomli_w.dumps(table).encode())


def remove_share(folder: Path, name: str) -> None:
    """Forget the share *name*; its folder stays as it is. Raises UsageError when it isn't there."""
    path = folder / f"{name}.toml"
    if not path.exists():
        require_share(folder, name)
    path.unlink(missing_ok=True)


def ensure_marker(share: Share) -> str:
    """Return what a camera must find in the share's file MARKER. Raises StoreError when it cannot be written there."""
    path = share.folder / MARKER
    try:
        if not path.exists():
            write_atomic(path, secrets.token_hex(16).encode() + b"\n")
            path.chmod(0o644)
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise StoreError(
            f"cannot write to the share's folder {share.folder}: {error.strerror}",
            hint="is it there, yours, and not full?",
        ) from error


def find_attached(file: Path) -> str | None:
    """Return the name of the share that *file* tells a device was attached to."""
    try:
        return file.read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None


def note_attached(file: Path, name: str | None) -> None:
    if name is None:
        file.unlink(missing_ok=True)
    else:
        write_atomic(file, f"{name}\n".encode())
