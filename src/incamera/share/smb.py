"""Settings for Samba's file server with one folder, one user and one address, without root, domain or printers."""

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

# Packages that the file server itself does not need: tools for domains, Python, the management of system users.
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
  # Do not start the RPC services, whose programs are searched in fixed folders.
  rpc start on demand helpers = no
  # Programs on this computer use the folder, too, so the server leaves their locks, modes and attributes alone.
  kernel share modes = no
  # With a lease, a camera keeps a file open after closing it, and does not notice that it was replaced.
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
    """Return the Debian packages of the file server for *host*."""
    return DebSet(suite="bookworm", architecture=host.debian, roots=("samba",), leave_out=_LEAVE_OUT)


def select_smb(path: str) -> str | None:
    """Return *path* for a file that the server needs, None for any other file of its packages."""
    needed = path == "usr/sbin/smbd" or (path.startswith("usr/lib") and ".so" in path)
    return path if needed else None


def plan_smb(share: Share, tools: Path, host: Host, folder: Path) -> ServerPlan:
    """Return the plan of a server for *share*, whose programs are in the tree *tools* and its files in *folder*.

    Raises StoreError when the user has no name on this computer, BuildError when the server's program is missing.
    """
    try:
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise StoreError(
            f"the user ID {os.getuid()} has no name on this computer, and Samba needs one",
            hint="add a line for that user to /etc/passwd",
        ) from None
    # The time of the password's last change. With 0, Samba would ask the user to change it.
    changed = f"{int(time.time()):08X}"
    login = f"{account}:{os.getuid()}:{'X' * 32}:{nt_hash(share.password)}:[U          ]:LCT-{changed}:\n"
    interfaces = f"interfaces = {share.address}\n  bind interfaces only = yes"
    settings = _SETTINGS.format(
        folder=folder,
        name=share.path,
        port=share.port,
        account=account,
        interfaces="bind interfaces only = no" if share.on_all_addresses else interfaces,
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
