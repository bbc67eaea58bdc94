"""The SSH server of a virtual camera: dropbear, as in many cameras, or OpenSSH."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from importlib import resources
from typing import TYPE_CHECKING

from incamera.targets.packages import DebSet
from incamera.virtual import cpio

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.targets.profile import Profile
    from incamera.virtual.keys import CameraKeys

STARTER = "usr/sbin/incamera-ssh"
# Where OpenSSH's libraries are in the camera: openssh.sh has it, too.
_LIBRARIES = "usr/lib/sshd"
# Programs of the package `openssh-server`; those in usr/lib are of its newer versions.
_PROGRAMS = ("usr/sbin/sshd", "usr/lib/openssh/sshd-session", "usr/lib/openssh/sshd-auth")
_NOT_NEEDED = (
    "adduser", "debconf", "dpkg", "init-system-helpers", "libpam-modules", "libpam-modules-bin", "libpam-runtime",
    "lsb-base", "openssh-client", "openssh-sftp-server", "passwd", "perl-base", "procps", "runit-helper",
    "sysvinit-utils", "tar", "ucf",
)  # fmt: skip


class SshServer(StrEnum):
    """The SSH servers that a virtual camera can have."""

    dropbear = "dropbear"
    openssh = "openssh"


# How each is started: root with a key alone, or accounts without root, with a password, too.
_ROOT = {
    SshServer.dropbear: "-s",
    SshServer.openssh: "-o PermitRootLogin=prohibit-password -o PasswordAuthentication=no",
}
_USERS = {SshServer.dropbear: "-w", SshServer.openssh: "-o PermitRootLogin=no -o PasswordAuthentication=yes"}


def _options(server: SshServer, profile: Profile) -> cpio.Member:
    options = _ROOT if profile.has_root_login else _USERS
    return cpio.file("etc/incamera-ssh-options", f"{options[server]}\n".encode())


def openssh_packages(profile: Profile) -> DebSet:
    """Return the packages of OpenSSH's server for a virtual camera of *profile*."""
    return DebSet(
        suite=profile.suite,
        architecture=profile.architecture.facts.debian,
        roots=("openssh-server",),
        leave_out=frozenset(_NOT_NEEDED),
    )


def dropbear_members(userland: Path, profile: Profile, keys: CameraKeys) -> Iterator[cpio.Member]:
    """Yield the files of dropbear, which is in the tree *userland*."""
    yield cpio.file("usr/sbin/dropbear", (userland / "usr/sbin/dropbear").read_bytes(), 0o755)
    yield cpio.file("etc/dropbear/ed25519", keys.host, 0o600)
    yield _options(SshServer.dropbear, profile)
    yield cpio.file(STARTER, _data("dropbear.sh"), 0o755)


def openssh_members(tree: Path, userland: Path, profile: Profile, keys: CameraKeys) -> Iterator[cpio.Member]:
    """Yield the files of OpenSSH, which is in *tree*; of its libraries those that are not in *userland*."""
    for program in _PROGRAMS:
        if (tree / program).exists():
            yield cpio.file(program, (tree / program).read_bytes(), 0o755)
    libraries = f"usr/lib/{profile.architecture.facts.gnu}"
    ours = {path.name for path in (userland / libraries).glob("*.so*")}
    found = sorted((tree / libraries).glob("*.so*"))
    # A library is looked for by the name of the link to it.
    linked = {path.readlink().name for path in found if path.is_symlink()}
    for path in found:
        if path.name not in ours | linked and path.is_file():
            yield cpio.file(f"{_LIBRARIES}/{path.name}", path.read_bytes(), 0o755)
    yield cpio.file("etc/ssh/ssh_host_ed25519_key", keys.openssh_host, 0o600)
    yield cpio.file("etc/ssh/sshd_config", _data("sshd_config"))
    yield _options(SshServer.openssh, profile)
    yield cpio.folder("var/empty")
    yield cpio.file(STARTER, _data("openssh.sh"), 0o755)


def _data(name: str) -> bytes:
    return resources.files("incamera.virtual").joinpath("data", name).read_bytes()
