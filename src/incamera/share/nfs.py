"""An NFS 4.2 server in user space, for one folder. NFS knows no password: whoever reaches the port has the folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import UsageError
from incamera.share.server import ServerPlan, plan_program
from incamera.targets.packages import DebSet

if TYPE_CHECKING:
    from incamera.share.values import Share
    from incamera.targets.host import Host

_LEAVE_OUT = frozenset({"dbus", "dmsetup", "libdb5.3", "libdevmapper1.02.1", "nfs-common", "python3", "rpcbind"})
# Files are opened by handles, which takes a right of root's.
_CAP_DAC_READ_SEARCH = 1 << 2

_SETTINGS = """\
NFS_CORE_PARAM {{
  Bind_addr = {address};
  NFS_Port = {port};
  Protocols = 4;
  Enable_NLM = false;
  Enable_RQUOTA = false;
  Enable_UDP = false;
  Plugins_Dir = "{plugins}";
}}
NFSv4 {{
  Graceless = true;
  RecoveryBackend = fs;
  RecoveryRoot = "{folder}/recovery";
  Minor_Versions = 1, 2;
  Only_Numeric_Owners = true;
  UseGetpwnam = true;
  DomainName = "incamera";
}}
NFS_KRB5 {{ Active_krb5 = false; }}
EXPORT {{
  Export_Id = 1;
  Path = "{path}";
  Pseudo = "/{name}";
  Access_Type = RW;
  Squash = No_Root_Squash;
  SecType = sys;
  Protocols = 4;
  Transports = TCP;
  FSAL {{ Name = VFS; }}
}}
"""


def nfs_packages(host: Host) -> DebSet:
    return DebSet(suite="bookworm", architecture=host.debian, roots=("nfs-ganesha-vfs",), leave_out=_LEAVE_OUT)


def select_nfs(path: str) -> str | None:
    """Choose what the server needs of its packages' files."""
    needed = path == "usr/bin/ganesha.nfsd" or (path.startswith("usr/lib") and ".so" in path)
    return path if needed else None


def require_rights() -> None:
    """Raises UsageError when we may not serve NFS."""
    status = Path("/proc/self/status").read_text("utf-8").splitlines()
    rights = next((int(line.split()[1], 16) for line in status if line.startswith("CapEff:")), 0)
    if not rights & _CAP_DAC_READ_SEARCH:
        raise UsageError(
            f"serving NFS takes the right CAP_DAC_READ_SEARCH, which user {os.getuid()} hasn't",
            hint="serve SMB, which needs no rights; or make a folder of your system's own NFS server known with "
            "`incamera share add NAME --protocol nfs`",
        )


def plan_nfs(share: Share, tools: Path, host: Host, folder: Path) -> ServerPlan:
    """Return how to serve *share* with the unpacked *tools*. Raises UsageError for a path that it cannot be told."""
    if set(str(share.folder)) & set('"\\\n'):
        raise UsageError(f"the path {share.folder} cannot be served by NFS", hint="choose one without quotes")
    settings = _SETTINGS.format(
        address=share.address,
        port=share.port,
        plugins=tools / "usr/lib" / host.gnu / "ganesha",
        folder=folder,
        path=share.folder,
        name=share.path,
    )
    words = plan_program(tools, host, "usr/bin/ganesha.nfsd", ("../ganesha",))
    return ServerPlan(
        argv=(*words, "-F", "-f", f"{folder}/nfs.conf", "-L", "STDERR", "-N", "NIV_WARN", "-p", f"{folder}/nfs.pid"),
        files={"nfs.conf": settings},
        folders=("recovery",),
        # It would offer itself for steering to this computer's other programs.
        environment={"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder}/nobody"},
    )
