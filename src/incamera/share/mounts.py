"""The mount options for a share, and errors for the error numbers of a camera's kernel."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.errors import DeviceError, DeviceRefused, DeviceUnreachable, DeviceUnsuitable, UsageError
from incamera.share.values import Protocol

if TYPE_CHECKING:
    from incamera.share.values import Share

# The folder at which AXIS OS itself mounts a network share.
PLACE = "/var/spool/storage/NetworkShare"
UNREACHABLE = frozenset({
    errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ECONNABORTED,
    errno.ECONNRESET, errno.EINPROGRESS, errno.EAGAIN, errno.EIO, errno.EINTR,
})  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """The arguments of a mount: file system, source and options. `options` includes the password."""

    kind: str
    source: str
    options: str


def plan_mount(share: Share, *, address: str, port: int, client: str) -> Mount:
    """Return the mount of *share* for a camera with the address *client* that reaches the server at *address*, *port*.

    Raises UsageError for a password that cannot be a mount option.
    """
    if share.protocol is Protocol.nfs:
        # actimeo: the camera sees changes after a second, as with SMB, and not after up to a minute, the default.
        options = f"vers=4.2,proto=tcp,addr={address},clientaddr={client},port={port},actimeo=1"
        return Mount(kind="nfs4", source=f"{address}:/{share.path.lstrip('/')}", options=options)
    if "\n" in share.password or "\0" in share.password:
        raise UsageError("the share's password has more than one line", hint="give it with --password-file, one line")
    # In a mount option, a comma ends the value, and two commas stand for one.
    login = f"username={share.user},password={share.password.replace(',', ',,')}" if share.user else "sec=none,guest"
    words = [
        f"ip={address},port={port},vers=3.0,{login}",
        # All files are executable, and the camera can make symbolic links.
        "file_mode=0755,dir_mode=0755,mfsymlinks",
        # Readers wait while the server is down, and go on when it is up again. A connection without an answer is given
        # up after 15 s.
        "hard,echo_interval=5",
    ]
    return Mount(kind="cifs", source=f"//{address}/{share.path}", options=",".join(words))


def find_mount(mounts: str, place: str = PLACE) -> tuple[str, str] | None:
    """Return source and file system of the mount at *place* from the text of /proc/mounts; None when there is none."""
    found = None
    for line in mounts.split("\n"):
        source, point, kind, *_ = [*line.split(" "), "", "", ""]
        if point == place:
            found = (source.replace("\\040", " "), kind)  # a later mount hides those before
    return found


def explain_mount(share: Share, code: int, text: str, *, device: str, address: str, port: int) -> DeviceError:
    """Return the error for a mount of *share* on *device* that failed with the kernel's error number *code*.

    *text* is the guard's message. The camera reaches the server at *address*, *port*.
    """
    where = f"{address}, port {port}"
    if code in (errno.EACCES, errno.EPERM, errno.EKEYREJECTED):
        return DeviceRefused(
            f"the server of {share.name} at {where} refuses the user {share.user or 'guest'}, or the password",
            hint="run `incamera share add` again with the right --user and --password-file"
            if not share.served
            else "stop `incamera share serve` and start it again, so that it reads the password again",
        )
    if code == errno.ENODEV:
        kind = "SMB" if share.protocol is Protocol.smb else "NFS 4.2"
        return DeviceUnsuitable(f"the kernel of {device} cannot mount {kind} shares")
    if code in (errno.ENOENT, errno.ENXIO):
        return DeviceError(f'the server at {where} has no share "{share.path}"', hint="`incamera share list` shows it")
    if code in UNREACHABLE:
        return DeviceUnreachable(
            f"{device} cannot reach the server of {share.name} at {where}",
            hint="check that it is served on an address that the camera can reach, and that no firewall blocks it",
        )
    return DeviceError(f"cannot mount {share.name} on {device}: {text}")
