"""The programs of this computer that a build may call: those whose version does not change the wheel.

Compilers, cmake, ninja, meson, swig and *-config scripts of the host are not among them, since the wheel would depend
on them.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_COREUTILS = (
    *(
        "[",
        "arch",
        "basename",
        "cat",
        "chmod",
        "chown",
        "cksum",
        "comm",
        "cp",
        "csplit",
        "cut",
        "date",
        "dd",
        "dirname",
    ),
    *("du", "echo", "env", "expand", "expr", "factor", "false", "fmt", "fold", "head", "id", "install", "join", "link"),
    *("ln", "ls", "md5sum", "mkdir", "mkfifo", "mktemp", "mv", "nice", "nl", "nproc", "od", "paste", "pathchk", "pr"),
    *("printenv", "printf", "pwd", "readlink", "realpath", "rm", "rmdir", "seq", "sha1sum", "sha256sum", "sha512sum"),
    *("shuf", "sleep", "sort", "split", "stat", "stdbuf", "sum", "sync", "tac", "tail", "tee", "test", "timeout"),
    *("touch", "tr", "true", "truncate", "tsort", "uname", "unexpand", "uniq", "unlink", "wc", "whoami", "yes"),
)
_ALLOWED = (
    *_COREUTILS,
    *("sh", "bash", "dash", "awk", "gawk", "mawk", "sed", "grep", "egrep", "fgrep", "perl", "which", "m4"),
    *("find", "xargs", "diff", "cmp", "patch", "file", "hexdump", "xxd", "make", "gmake"),
    # Their downloads are refused (network.py). Without them, the message would be that they don't exist.
    *("curl", "git", "wget"),
    *("tar", "cpio", "gzip", "gunzip", "zcat", "bzip2", "bunzip2", "xz", "unxz", "xzcat", "zstd", "zip", "unzip"),
)


def link_host_programs(folder: Path) -> Path:
    """Make *folder* with links to the allowed programs that this computer has, for PATH. Returns *folder*."""
    folder.mkdir()
    search_path = os.pathsep.join(("/usr/bin", "/bin", os.environ.get("PATH", "")))
    for name in _ALLOWED:
        if found := shutil.which(name, path=search_path):
            (folder / name).symlink_to(found)
    return folder
