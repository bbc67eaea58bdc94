"""Whether the device is the one we knew: host keys, the files that list them, and the error when they differ."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.disk import write_atomic
from incamera.errors import DeviceRefused

if TYPE_CHECKING:
    import asyncssh

    from incamera.transport.device import Device
    from incamera.transport.revoked_keys import RevokedKeys


@dataclass(frozen=True, kw_only=True, slots=True)
class HostKey:
    """A key that a device showed: `fingerprint` is what `ssh-keygen -lf` prints, `public_key` a line of OpenSSH's."""

    device: Device
    address: str
    algorithm: str
    fingerprint: str
    public_key: str


class UnknownHostKey(DeviceRefused):
    """The device is met for the first time. Whoever trusts `key` calls `accept_key` and connects again."""

    def __init__(self, key: HostKey, *, is_jump: bool = False) -> None:
        super().__init__(
            f"{key.device} is not known yet; its host key is {key.algorithm} {key.fingerprint}",
            hint="if that is its key, say so: in a terminal incamera asks you, as "
            f"`ssh {key.device.address.for_ssh}` does"
            if is_jump
            else "if that is the camera's key, say so: `incamera device add` asks you in a terminal, and takes "
            f"`--accept-key {key.fingerprint}` elsewhere",
        )
        self.key = key
        self.is_jump = is_jump


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key in a list of known hosts; `source` is the file and line that it comes from."""

    key: asyncssh.SSHKey
    source: str
    revoked: bool = False
    authority: bool = False
    """It is not a host's key, but signs them."""


class HostKeyChecker:
    """Answers asyncssh's questions during one connection, and keeps in `refusal` why it said no."""

    def __init__(
        self,
        device: Device,
        files: Sequence[Path],
        *,
        told: str = "",
        is_jump: bool = False,
        revoked: RevokedKeys | None = None,
    ) -> None:
        """*files* are lists of known hosts, *told* is one that a KnownHostsCommand printed."""
        self._told = told.splitlines()
        self._is_jump = is_jump
        self._revoked = revoked
        self._device = device
        self._files = files
        self._known: list[KnownKey] = []
        self._address = device.address.host
        self.refusal: DeviceRefused | None = None

    @property
    def knows_device(self) -> bool:
        return any(not known.revoked for known in self._known)

    def match(self, host: str, address: str, port: int | None) -> tuple[list[object], ...]:
        """Return the trusted and the revoked keys of *host*, in the order that asyncssh wants them."""
        import asyncssh  # lazy: slow to import

        port = None if port == 22 else port
        self._address = known_name(host, port)
        pinned = self._device.address.host_key
        if pinned is not None:
            self._known = [KnownKey(asyncssh.import_public_key(pinned), "the key that it was given when it was made")]
        else:
            self._known = [known for file in self._files for known in find_keys(file, host, address, port)]
            self._known += _find_keys(self._told, "KnownHostsCommand", host, address, port)
        good = [known for known in self._known if self._revoker(known.key) is None]
        trusted: list[object] = [known.key for known in good if not known.authority]
        authorities: list[object] = [known.key for known in good if known.authority]
        # Of other keys than signed ones, `refuse` tells that they are revoked, and by what.
        revoked: list[object] = [known.key for known in self._known if known.revoked] if authorities else []
        return trusted, authorities, revoked, [], [], [], []

    def _revoker(self, key: asyncssh.SSHKey) -> str | None:
        """Return what says that *key* is revoked."""
        if self._revoked is not None and self._revoked.has(key):
            return f"RevokedHostKeys {self._revoked.file}"
        return next((known.source for known in self._known if known.revoked and known.key == key), None)

    def refuse(self, key: asyncssh.SSHKey) -> None:
        """Set `refusal` for a key that `match` did not return as trusted."""
        shown = HostKey(
            device=self._device,
            address=self._address,
            algorithm=key.get_algorithm(),
            fingerprint=key.get_fingerprint(),
            public_key=" ".join(key.export_public_key("openssh").decode().split()[:2]),
        )
        known = [known for known in self._known if not known.revoked and not known.authority]
        if (revoker := self._revoker(key)) is not None:
            self.refusal = _revoked(shown, revoker)
        elif known:
            self.refusal = changed(shown, known)
        else:
            self.refusal = UnknownHostKey(shown, is_jump=self._is_jump)


def accept_key(file: Path, key: HostKey) -> None:
    """Add *key* to *file*, our list of known hosts."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # At the end is the name that the user has for it: ~/.ssh/config may give a name another address.
    address = key.device.address
    line = f"{key.address} {key.public_key} {known_name(address.host, address.port)}\n"
    # One write to a file that is only ever appended to: two processes can do this at once.
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def known_name(host: str, port: int | None) -> str:
    """Return what a list of known hosts calls *host*."""
    return f"[{host}]:{port}" if port not in (None, 22) else host


def forget_keys(file: Path, host: str, port: int | None) -> None:
    """Remove from *file*, our list of known hosts, what was accepted for *host*, under whichever address."""
    if file.exists():
        name = known_name(host, port)
        lines = file.read_text("utf-8").splitlines(keepends=True)
        left = [line for line in lines if name not in (words := line.split())[:1] + words[3:]]
        write_atomic(file, "".join(left).encode())


def changed(shown: HostKey, known: Sequence[KnownKey]) -> DeviceRefused:
    """Return the refusal for a device that shows another key than before."""
    before = "; ".join(f"{k.key.get_algorithm()} {k.key.get_fingerprint()} ({k.source})" for k in known)
    return DeviceRefused(
        f"{shown.device} shows another host key than before: {shown.algorithm} {shown.fingerprint}, "
        f"but known is {before}",
        hint="a factory reset, or another camera at this address, changes the key; otherwise another machine may be "
        f"answering. If the new key is right, remove that line (ssh-keygen -R '{shown.address}' -f FILE does it) and "
        "connect again",
    )


def _revoked(shown: HostKey, source: str) -> DeviceRefused:
    """Return the refusal for a device whose key the user has revoked."""
    return DeviceRefused(
        f"{shown.device} shows a host key that is revoked: {shown.algorithm} {shown.fingerprint} ({source})",
        hint="another machine may have this key, and answer in its place: give the device a new one",
    )


def find_keys(file: Path, host: str, address: str, port: int | None) -> list[KnownKey]:
    """Return the keys that *file* (in the form of OpenSSH's known_hosts) has for *host*, each with its line."""
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    return _find_keys(lines, str(file), host, address, port)


def _find_keys(lines: Sequence[str], origin: str, host: str, address: str, port: int | None) -> list[KnownKey]:
    import asyncssh  # lazy: slow to import

    exact: list[KnownKey] = []
    for number, line in enumerate(lines, 1):
        # Reading a key costs more than looking whether the line can be about this host at all.
        if not any(text and text in line for text in (host, address, "*", "?", "|1|")):
            continue
        try:
            entry = asyncssh.import_known_hosts(line)
            # Where another port is asked for, what is known of the usual one tells nothing: ports may be forwarded.
            names = [known_name(name, port) for name in (host, address) if name]
            trusted, authorities, revoked = _match(entry, names)
            if port is not None:
                authorities += [key for key in _match(entry, [host])[1] if key not in authorities]
        except ValueError:
            continue
        source = f"{origin}, line {number}"
        exact += [KnownKey(key, source) for key in trusted]
        exact += [KnownKey(key, source, authority=True) for key in authorities]
        exact += [KnownKey(key, source, revoked=True) for key in revoked]
    return exact


def _match(
    entry: asyncssh.SSHKnownHosts, names: Sequence[str]
) -> tuple[list[asyncssh.SSHKey], list[asyncssh.SSHKey], list[asyncssh.SSHKey]]:
    """Return the keys that *entry* has for a host of *names*: trusted ones, those that sign others, revoked ones."""
    found: tuple[list[asyncssh.SSHKey], ...] = ([], [], [])
    for name in names:
        # asyncssh would leave out what is revoked for another port than the usual one: the name has it already.
        for keys, more in zip(found, entry.match(name, "", None)[:3], strict=True):
            keys += [key for key in more if key not in keys]
    return found[0], found[1], found[2]
