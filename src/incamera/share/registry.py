"""The known shares, and which device has attached which.

<store>/shares/NAME.toml         a share with its password; only the user can read it
<store>/shares/attached/DEVICE   the name of the share that this device has attached
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import tomli_w

from incamera.disk import write_atomic
from incamera.errors import ConfigError, StoreError, UsageError
from incamera.names import did_you_mean
from incamera.share.values import Protocol, Share
from incamera.toml import parse_toml

if TYPE_CHECKING:
    from incamera.context import Context

# A file in a share's folder with a random text, by which a camera's mount of that folder is recognised.
MARKER = ".incamera-share"
_KEYS = {
    "folder": str, "protocol": str, "address": str, "port": int, "path": str, "user": str, "password": str,
    "served": bool,
}  # fmt: skip


def shares_folder(context: Context) -> Path:
    """Return the folder of the store with the known shares."""
    return context.store.root / "shares"


def load_shares(folder: Path) -> dict[str, Share]:
    """Return the shares in *folder* (`<store>/shares`) by name. Raises ConfigError for a damaged file."""
    return {path.stem: load_share(path) for path in sorted(folder.glob("*.toml"))}


def load_share(path: Path) -> Share:
    """Return the share in the file *path*. Raises ConfigError when it is damaged."""
    try:
        table = parse_toml(path.read_text("utf-8"))
        for key, value in table.items():
            if not isinstance(value, _KEYS[key]):
                raise ValueError(f"{key} is not {_KEYS[key].__name__}")
        values = {"folder": Path(table["folder"]), "protocol": Protocol(table["protocol"])}
        return Share(**table | values, name=path.stem)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}",
            hint=f"correct the file, or run `incamera share remove {path.stem}` and add the share again",
        ) from error


def require_share(folder: Path, name: str | None) -> Share:
    """Return the share called *name*; without a name, the only one. Raises UsageError."""
    shares = load_shares(folder)
    if name is None and len(shares) == 1:
        return next(iter(shares.values()))
    if not shares:
        raise UsageError(
            f'there is no share "{name}"' if name else "there is no share yet",
            hint="serve one with `incamera share serve`, or add one of your own server with `incamera share add`",
        )
    if name is None:
        raise UsageError(
            "there are several shares: " + ", ".join(shares),
            hint=f"name one, as in `incamera share attach {next(iter(shares))}`",
        )
    if name not in shares:
        raise UsageError(
            f'there is no share "{name}"', hint=did_you_mean(name, shares) or "known shares: " + ", ".join(shares)
        )
    return shares[name]


def save_share(folder: Path, share: Share) -> None:
    """Save *share* in *folder*; one of the same name is replaced. Raises OSError."""
    values = {key: getattr(share, key) for key in _KEYS}
    table = {
        key: str(value) if isinstance(value, Path) else value for key, value in values.items() if value is not None
    }
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Only the user can read the files that write_atomic writes.
    write_atomic(folder / f"{share.name}.toml", tomli_w.dumps(table).encode())


def remove_share(folder: Path, name: str) -> None:
    """Remove the share *name* from *folder*; its own folder is not touched. Raises UsageError when it isn't known."""
    # A damaged file can be removed, too, so it is not read.
    files = {path.stem: path for path in folder.glob("*.toml")}
    if name not in files:
        require_share(folder, name)
    else:
        files[name].unlink(missing_ok=True)


def ensure_marker(share: Share) -> str:
    """Return the text of the share's file MARKER; write the file if it does not exist. Raises StoreError."""
    path = share.folder / MARKER
    try:
        if not path.exists():
            write_atomic(path, secrets.token_hex(16).encode() + b"\n")
            path.chmod(0o644)
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise StoreError(
            f"cannot write to the share's folder {share.folder}: {error.strerror}",
            hint="check that the folder exists, that you can write to it, and that its disk is not full",
        ) from error


def load_attached(file: Path) -> str | None:
    """Return the name of the share in *file*, which `save_attached` has written; None when there is none."""
    try:
        return file.read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None


def save_attached(file: Path, name: str | None) -> None:
    """Write to *file* that its device has attached the share *name*; None for no share."""
    if name is None:
        file.unlink(missing_ok=True)
    else:
        write_atomic(file, f"{name}\n".encode())
