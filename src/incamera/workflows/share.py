"""share serve|add|list|remove: folders of this computer that cameras can mount."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import ConfigError, UsageError
from incamera.share.registry import ensure_marker, load_shares, remove_share, save_share, shares_folder
from incamera.share.server import is_reachable, require_free_port, require_writable, serving
from incamera.share.values import Protocol, Share, require_name, require_port, require_user
from incamera.targets.host import require_host

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.share.server import ServerPlan

DEFAULT_USER = "camera"
_FIRST_PORT = 4450


@dataclass(frozen=True, kw_only=True, slots=True)
class ShareSettings:
    """What the user said about a share; None: as it was, or as it goes without saying."""

    folder: Path | None = None
    protocol: Protocol | None = None
    address: str | None = None
    port: int | None = None
    path: str | None = None
    user: str | None = None
    password_file: Path | None = None


def _save(context: Context, share: Share) -> None:
    with context.store.reporting_disk_errors():
        save_share(shares_folder(context), share)


# Serving


@contextmanager
def served(context: Context, name: str, settings: ShareSettings) -> Iterator[tuple[Share, Callable[[], None]]]:
    """Serve a folder for as long as the block lasts; what comes with the share raises when its server has ended."""
    share = plan_share(context, name, settings)
    plan = _server_plan(context, share)
    ensure_marker(share)
    # Written down before it is served: whoever finds it served can attach it.
    with serving(share, plan, before=lambda: _save(context, share)) as require_alive:
        yield share, require_alive


def plan_share(context: Context, name: str, settings: ShareSettings) -> Share:
    """Return the share that `serve` offers: what was said now, else what was said last time, else what is usual."""
    shares = load_shares(shares_folder(context))
    known = shares.get(require_name(name))
    if known is not None and not known.served:
        raise UsageError(
            f"{name} is a share of another server, {known.url}",
            hint="choose another --name, or forget that one with `incamera share remove`",
        )
    folder = settings.folder or (known.folder if known else shares_folder(context) / "folders" / name)
    address = settings.address or (known.address if known else "127.0.0.1")
    port = require_port(settings.port) or (known.port if known else None)
    password = read_password(settings.password_file) or (known.password if known else secrets.token_urlsafe(16))
    return Share(
        name=name,
        folder=require_writable(folder.expanduser().absolute()),
        protocol=Protocol.smb,
        address=address,
        port=port or _free_port(address, {share.port for share in shares.values()}),
        path=name,
        user=require_user(settings.user or (known.user if known and known.user else DEFAULT_USER)),
        password=password,
        served=True,
    )


def _server_plan(context: Context, share: Share) -> Callable[[Path], ServerPlan]:
    from incamera.build.deb_trees import ensure_deb_tree
    from incamera.share.smb import plan_smb, select_smb, smb_packages

    host = require_host()
    with context.reporter.step("server") as step:
        tools = ensure_deb_tree(context, "smb", smb_packages(host), step=step, select=select_smb)
        return lambda folder: plan_smb(share, tools, host, folder)


def _free_port(address: str, taken: Collection[int]) -> int:
    """Return a port that is likely to stay free, so that a camera's mount finds the share again next time."""
    for port in sorted(set(range(_FIRST_PORT, _FIRST_PORT + 100)) - set(taken)):
        with suppress(UsageError):
            require_free_port(address, port)
            return port
    require_free_port(address, _FIRST_PORT)  # says why
    return _FIRST_PORT


def read_password(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        password = file.expanduser().read_text("utf-8").partition("\n")[0]
    except OSError as error:
        raise ConfigError(f"cannot read the password from {file}: {error.strerror}") from error
    except ValueError:
        raise ConfigError(f"the password in {file} is no text in UTF-8") from None
    if not password:
        raise ConfigError(f"there is no password in {file}", hint="its first line is taken")
    return password


# The user's own


def add_share(context: Context, name: str, settings: ShareSettings) -> Share:
    """Write down a folder that the user's own server offers, and that this computer has mounted, too."""
    known = load_shares(shares_folder(context)).get(require_name(name))
    if known is not None and known.served:
        raise UsageError(
            f"{name} is a share that `incamera share serve` serves from here",
            hint="choose another name, or forget that one with `incamera share remove`",
        )
    folder = settings.folder or (known.folder if known else None)
    address = settings.address or (known.address if known else None)
    if folder is None or address is None:
        raise UsageError(
            "a share needs the --folder where this computer has it, and the server's --address",
            hint="to have a folder served from here, use `incamera share serve FOLDER`",
        )
    folder = folder.expanduser().absolute()
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", hint="mount the share on this computer first")
    protocol = settings.protocol or (known.protocol if known else Protocol.smb)
    user = settings.user or (known.user if known else None)
    share = Share(
        name=name,
        folder=require_writable(folder),
        protocol=protocol,
        address=address,
        port=require_port(settings.port) or (known.port if known and known.protocol is protocol else protocol.port),
        path=settings.path or (known.path if known else name),
        user=require_user(user) if user else None,
        password=read_password(settings.password_file) or (known.password if known else ""),
    )
    ensure_marker(share)
    _save(context, share)
    return share


def list_shares(context: Context) -> list[tuple[Share, bool]]:
    """Return the shares that are known, and of each whether its server answers now."""
    return [(share, is_reachable(*share.here, seconds=1)) for share in load_shares(shares_folder(context)).values()]


def forget_share(context: Context, name: str) -> None:
    remove_share(shares_folder(context), name)
