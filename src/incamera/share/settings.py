"""The settings of a share from the command line, and the share that follows from them."""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from incamera.errors import ConfigError, UsageError
from incamera.home import expand_home
from incamera.names import did_you_mean
from incamera.share.server import require_free_port, require_writable
from incamera.share.values import Protocol, Share, require_address, require_name, require_port, require_user

DEFAULT_USER = "camera"
_FIRST_PORT = 4450


@dataclass(frozen=True, kw_only=True, slots=True)
class ShareSettings:
    """The settings of a share from the command line. None: as it was the last time, else the default."""

    folder: Path | None = None
    protocol: Protocol | None = None
    address: str | None = None
    port: int | None = None
    path: str | None = None
    user: str | None = None
    password_file: Path | None = None


def plan_served_share(shares: Mapping[str, Share], folders: Path, name: str, settings: ShareSettings) -> Share:
    """Return the share *name* for `share serve`; without a folder in the settings, it gets one in *folders*.

    Settings that are not given are as in *shares*, else the defaults. Raises UsageError, ConfigError, StoreError.
    """
    known = shares.get(require_name(name))
    if known is not None and not known.served:
        raise UsageError(
            f"{name} is a share of another server, {known.url}",
            hint=f"choose another --name, or remove that share: `incamera share remove {name}`",
        )
    own = folders / name
    folder = expand_home(settings.folder or (known.folder if known else own)).absolute()
    if folder != own:
        _require_folder(folder)
    address = require_address(settings.address or (known.address if known else "127.0.0.1"))
    port = require_port(settings.port) or (known.port if known else None)
    password = read_password(settings.password_file) or (known.password if known else secrets.token_urlsafe(16))
    return Share(
        name=name,
        folder=require_writable(folder),
        protocol=Protocol.smb,
        address=address,
        port=port or _find_port(address, {share.port for share in shares.values()}),
        path=name,
        user=require_user(settings.user or (known.user if known and known.user else DEFAULT_USER)),
        password=password,
        served=True,
    )


def _require_folder(folder: Path) -> None:
    """Raise UsageError, with the folders of similar names, where there is no *folder*."""
    if folder.is_dir():
        return
    if os.path.lexists(folder):
        raise UsageError(f"{folder} is not a folder", hint="name a folder to serve")
    make = f"make it: `mkdir -p {shlex.quote(str(folder))}`"
    parent = folder.parent
    names = [path.name for path in parent.iterdir() if path.is_dir()] if os.access(parent, os.R_OK | os.X_OK) else []
    similar = did_you_mean(folder.name, names)
    raise UsageError(f"there is no folder {folder}", hint=f"{similar} Or {make}" if similar else make)


def plan_added_share(shares: Mapping[str, Share], name: str, settings: ShareSettings) -> Share:
    """Return the share *name* of the user's own server, whose folder is mounted on this computer, too.

    Settings that are not given are as in *shares*, else the defaults. Raises UsageError, ConfigError, StoreError.
    """
    known = shares.get(require_name(name))
    if known is not None and known.served:
        raise UsageError(
            f"{name} is a share that `incamera share serve` serves",
            hint=f"choose another name, or remove that share: `incamera share remove {name}`",
        )
    folder = settings.folder or (known.folder if known else None)
    address = settings.address or (known.address if known else None)
    if folder is None or address is None:
        raise UsageError(
            "a share of your own server needs the --folder where it is mounted here, and the server's --address",
            hint="to serve a folder of this computer, use `incamera share serve FOLDER`",
        )
    folder = expand_home(folder).absolute()
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", hint="mount the share on this computer first")
    require_address(address)
    protocol = settings.protocol or (known.protocol if known else Protocol.smb)
    if protocol is Protocol.nfs and (settings.user or settings.password_file):
        raise UsageError("NFS has neither users nor passwords", hint="leave out --user and --password-file")
    user = None if protocol is Protocol.nfs else settings.user or (known.user if known else None)
    return Share(
        name=name,
        folder=require_writable(folder),
        protocol=protocol,
        address=address,
        port=require_port(settings.port) or (known.port if known and known.protocol is protocol else protocol.port),
        path=settings.path or (known.path if known else name),
        user=require_user(user) if user else None,
        password=read_password(settings.password_file) or (known.password if known and user else ""),
    )


def read_password(file: Path | None) -> str:
    """Return the first line of *file*, "" without a file. Raises UsageError when it cannot be read, ConfigError."""
    if file is None:
        return ""
    try:
        password = expand_home(file).read_text("utf-8").partition("\n")[0]
    except OSError as error:
        raise UsageError(
            f"cannot read the password from {file}: {error.strerror}", hint="name a file whose first line it is"
        ) from error
    except ValueError:
        raise ConfigError(f"the password in {file} is not valid UTF-8 text") from None
    if not password:
        raise ConfigError(f"the first line of {file} is empty", hint="write the password into its first line")
    return password


def _find_port(address: str, taken: Collection[int]) -> int:
    """Return a port that is likely to stay free, so that a camera's mount finds the share again next time."""
    for port in sorted(set(range(_FIRST_PORT, _FIRST_PORT + 100)) - set(taken)):
        with suppress(UsageError):
            require_free_port(address, port)
            return port
    require_free_port(address, _FIRST_PORT)  # raises with the reason
    return _FIRST_PORT
