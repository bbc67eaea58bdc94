"""What a camera's kernel is told to mount a share, and what its answers mean."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.errors import DeviceError, DeviceRefused, DeviceUnreachable, DeviceUnsuitable, UsageError
from incamera.share.values import Protocol

if TYPE_CHECKING:
    from incamera.share.values import Share

# Where a camera mounts its network share, by its own hand too.
PLACE = "/var/spool/storage/NetworkShare"
UNREACHABLE = frozenset({
    errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ECONNABORTED,
    errno.ECONNRESET, errno.EINPROGRESS, errno.EAGAIN, errno.EIO, errno.EINTR,
})  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """What the kernel is to mount. `options` holds the password."""

    kind: str
    source: str
    options: str


def plan_mount(share: Share, *, address: str, port: int, client: str) -> Mount:
    """Return how a camera at the address *client* mounts *share*, whose server it finds at *address*, *port*."""
    if share.protocol is Protocol.nfs:
        # What this computer writes there is seen after a second, as with SMB; usual is up to a minute.
        options = f"vers=4.2,proto=tcp,addr={address},clientaddr={client},port={port},actimeo=1"
        return Mount(kind="nfs4", source=f"{address}:/{share.path.lstrip('/')}", options=options)
    if "\n" in share.password or "\0" in share.password:
        raise UsageError("a share's password is one line")
    # A comma in it ends no value when there are two of them.
    login = f"username={share.user},password={share.password.replace(',', ',,')}" if share.user else "sec=none,guest"
    words = [
        f"ip={address},port={port},vers=3.0,{login}",
        # Programs can be started, whatever the server thinks of them; the camera may make links.
        "file_mode=0755,dir_mode=0755,mfsymlinks",
        # Whoever reads waits while the server is away, and goes on when it is back; a silent one is left after 15 s.
        "hard,echo_interval=5",
    ]
    return Mount(kind="cifs", source=f"//{address}/{share.path}", options=",".join(words))


def find_mount(mounts: str, place: str = PLACE) -> tuple[str, str] | None:
    """Return source and kind of what is mounted at *place*, from the text of /proc/mounts."""
    found = None
    for line in mounts.splitlines():
        source, point, kind, *_ = [*line.split(" "), "", "", ""]
        if point == place:
            found = (source.replace("\\040", " "), kind)  # a later one covers those before
    return found


def explain_mount(share: Share, code: int, text: str, *, device: str, address: str, port: int) -> DeviceError:
    """Return the error for a mount that ended with the kernel's error number *code*."""
    where = f"{address}, port {port}"
    if code in (errno.EACCES, errno.EPERM, errno.EKEYREJECTED):
        return DeviceRefused(
            f"the server of {share.name} at {where} refuses the user {share.user or 'guest'}, or the password",
            hint="`incamera share add` again with the right --user and --password-file"
            if not share.served
            else "end `incamera share serve` and start it again: it reads the password anew",
        )
    if code == errno.ENODEV:
        kind = "SMB" if share.protocol is Protocol.smb else "NFS 4.2"
        return DeviceUnsuitable(f"the kernel of {device} cannot mount {kind} shares")
    if code in (errno.ENOENT, errno.ENXIO):
        return DeviceError(f'the server at {where} has no share "{share.path}"', hint="`incamera share list` shows it")
    if code in UNREACHABLE:
        return DeviceUnreachable(
            f"{device} cannot reach the server of {share.name} at {where}",
            hint="is it served now, on an address that the camera can reach, and is there a firewall in between?",
        )
    return DeviceError(f"cannot mount {share.name} on {device}: {text.removeprefix('incamera-guard: ')}")
