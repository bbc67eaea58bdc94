"""Samba's file server, for one folder, one user, one address: no root, no domain, no printers, no names of its own."""

from __future__ import annotations

import os
import pwd
import time
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import StoreError
from incamera.share.md4 import nt_hash
from incamera.share.server import ServerPlan, plan_program
from incamera.targets.packages import DebSet

if TYPE_CHECKING:
    from incamera.share.values import Share
    from incamera.targets.host import Host

# What Samba has beside the server proper: a domain's tools, Python, the handling of a system's own users.
_LEAVE_OUT = frozenset({
    "init-system-helpers", "libdb5.3", "libpam-modules", "libpam-runtime", "libpython3.11", "passwd", "procps",
    "psmisc", "python3", "python3-samba", "samba-common-bin", "tdb-tools",
})  # fmt: skip

_SETTINGS = """\
[global]
  server role = standalone server
  workgroup = INCAMERA
  netbios name = INCAMERA
  disable netbios = yes
  {interfaces}
  smb ports = {port}
  server min protocol = SMB2_02
  map to guest = never
  passdb backend = smbpasswd:{folder}/private/smbpasswd
  username map = {folder}/users
  private dir = {folder}/private
  state directory = {folder}/state
  cache directory = {folder}/cache
  lock directory = {folder}/locks
  pid directory = {folder}/pid
  ncalrpc dir = {folder}/ncalrpc
  usershare path =
  log file = {folder}/log
  log level = 0
  load printers = no
  disable spoolss = yes
  printing = bsd
  printcap name = /dev/null
  # Only file access is offered, none of the services that start programs from fixed places.
  rpc start on demand helpers = no
  # The folder is ours as much as the cameras': our locks, modes and attributes of files stay as they are.
  kernel share modes = no
  # With a lease a camera keeps a file open after closing it, and doesn't see that we have put another in its place.
  smb2 leases = no
  store dos attributes = no
  map archive = no
  create mask = 0755
  unix extensions = no
[{name}]
  path = {folder}/folder
  read only = no
  valid users = {account}
"""


def smb_packages(host: Host) -> DebSet:
    return DebSet(suite="bookworm", architecture=host.debian, roots=("samba",), leave_out=_LEAVE_OUT)


def select_smb(path: str) -> str | None:
    """Choose what the server needs of its packages' files."""
    needed = path == "usr/sbin/smbd" or (path.startswith("usr/lib") and ".so" in path)
    return path if needed else None


def plan_smb(share: Share, tools: Path, host: Host, folder: Path) -> ServerPlan:
    """Return how to serve *share* with the unpacked *tools*. Raises StoreError when our user has no name here."""
    try:
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise StoreError(
            f"this computer has no name for the user {os.getuid()}, and Samba needs one",
            hint="add a line for it to /etc/passwd",
        ) from None
    # The time of its last change must not be the beginning of time, which means that it must be changed now.
    changed = f"{int(time.time()):08X}"
    login = f"{account}:{os.getuid()}:{'X' * 32}:{nt_hash(share.password)}:[U          ]:LCT-{changed}:\n"
    interfaces = f"interfaces = {share.address}\n  bind interfaces only = yes"
    settings = _SETTINGS.format(
        folder=folder,
        name=share.path,
        port=share.port,
        account=account,
        interfaces="bind interfaces only = no" if share.everywhere else interfaces,
    )
    words = plan_program(tools, host, "usr/sbin/smbd", ("samba",))
    return ServerPlan(
        argv=(*words, "--foreground", "--debug-stdout", f"--configfile={folder}/smb.conf"),
        files={
            "smb.conf": settings,
            "users": f"{account} = {share.user}\n",
            "private/smbpasswd": login,
        },
        folders=("private", "state", "cache", "locks", "pid", "ncalrpc"),
    )
