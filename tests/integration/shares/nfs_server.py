"""An NFS 4.2 server for the tests: it stands for somebody's NAS. It is nfs-ganesha, and serving takes root."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.build.deb_trees import ensure_deb_tree
from incamera.proc import minimal_environment, start_tied
from incamera.share.server import is_reachable, plan_program
from incamera.targets.host import require_host
from incamera.targets.packages import DebSet

if TYPE_CHECKING:
    from incamera.context import Context

_LEAVE_OUT = frozenset({"dbus", "dmsetup", "libdb5.3", "libdevmapper1.02.1", "nfs-common", "python3", "rpcbind"})
_STARTS_WITHIN_SECONDS = 30
_SETTINGS = """\
NFS_CORE_PARAM {{
  Bind_addr = 127.0.0.1;
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
  RecoveryRoot = "{private}/recovery";
  Minor_Versions = 1, 2;
  Only_Numeric_Owners = true;
  UseGetpwnam = true;
  DomainName = "incamera";
}}
NFS_KRB5 {{ Active_krb5 = false; }}
EXPORT {{
  Export_Id = 1;
  Path = "{folder}";
  Pseudo = "{path}";
  Access_Type = RW;
  Squash = No_Root_Squash;
  SecType = sys;
  Protocols = 4;
  Transports = TCP;
  FSAL {{ Name = VFS; }}
}}
"""


@contextmanager
def serve_nfs(context: Context, folder: Path, port: int, path: str, private: Path) -> Iterator[None]:
    """Export *folder* as *path* on this computer's *port*. The server writes into *private*, a new folder."""
    host = require_host()
    debs = DebSet(suite="bookworm", architecture=host.debian, roots=("nfs-ganesha-vfs",), leave_out=_LEAVE_OUT)
    tools = ensure_deb_tree(context, "nfs", debs, select=_select)
    (private / "recovery").mkdir(parents=True)
    plugins = tools / "usr/lib" / host.gnu / "ganesha"
    settings = _SETTINGS.format(port=port, plugins=plugins, private=private, folder=folder, path=path)
    (private / "nfs.conf").write_text(settings)
    words = [*plan_program(tools, host, "usr/bin/ganesha.nfsd", ("../ganesha",))]
    words += ["-F", "-f", f"{private}/nfs.conf", "-L", "STDERR", "-N", "NIV_WARN", "-p", f"{private}/nfs.pid"]
    # Without this address it would offer itself for remote control to the host's other programs.
    environment = minimal_environment(DBUS_SYSTEM_BUS_ADDRESS=f"unix:path={private}/nobody")
    server = start_tied(words, purpose="serve NFS", log=private / "log", env=environment)
    try:
        deadline = time.monotonic() + _STARTS_WITHIN_SECONDS
        while not is_reachable("127.0.0.1", port):
            assert server.poll() is None, (private / "log").read_text()
            assert time.monotonic() < deadline, (private / "log").read_text()
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(5)
        server.kill()
        server.wait()


def _select(path: str) -> str | None:
    """Choose what the server needs of its packages' files."""
    needed = path == "usr/bin/ganesha.nfsd" or (path.startswith("usr/lib") and ".so" in path)
    return path if needed else None
