"""Logging in with a key: which keys are offered in which order, and why a server refused them all."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncssh

from incamera.errors import DeviceRefused
from incamera.transport.quick_login import digest_of
from incamera.units import format_count

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.transport.ssh_config import SshConfig

# How long an SSH agent may take to tell its keys.
_AGENT_SECONDS = 5.0
# The type that a certificate for users has, in OpenSSH's PROTOCOL.certkeys.
_USER_CERTIFICATE = 1


@dataclass(slots=True)
class Keys:
    """The keys to offer, in order, and those files of keys that cannot be used."""

    pairs: list[asyncssh.SSHKeyPair] = field(default_factory=list)
    locked: list[Path] = field(default_factory=list)
    """Files with a passphrase, whose keys no agent has."""
    unreadable: dict[Path, str] = field(default_factory=dict)
    agent: asyncssh.SSHAgentClient | None = None
    silent_agent: str | None = None
    """The socket of an agent that did not answer."""

    def put_first(self, digest: str | None) -> asyncssh.SSHKeyPair | None:
        """Have the key of that digest be offered first. Returns it, None if it is not among them."""
        pair = next((pair for pair in self.pairs if digest_of(pair) == digest), None) if digest else None
        if pair is not None:
            self.pairs.remove(pair)
            self.pairs.insert(0, pair)
        return pair


async def load_keys(config: SshConfig, only: Sequence[Path], agent_socket: str | None) -> Keys:
    """Return the keys that `ssh` would offer: with *only* those and no agent, else as *config* says.

    The agent's keys come first, and of them those that the configuration names.
    """
    keys = Keys()
    files = tuple(only) or (config.default_keys if config.keys is None else config.keys)
    in_agent: list[asyncssh.SSHKeyPair] = []
    socket = agent_socket if config.agent is None else config.agent
    if not only and socket and socket != "none":
        try:
            async with asyncio.timeout(_AGENT_SECONDS):
                keys.agent = await asyncssh.connect_agent(socket)
                in_agent = list(await keys.agent.get_keys())
        except TimeoutError:
            keys.silent_agent = socket
        except (OSError, ValueError, asyncssh.Error):
            pass  # as `ssh`, which goes on without it
    own: list[asyncssh.SSHKeyPair] = []
    named: list[asyncssh.SSHKeyPair] = []
    for file in files:
        if not file.exists() and not _public_file(file).exists():
            if config.keys is not None or only:
                keys.unreadable[file] = "there is no such file"
            continue
        held = [pair for pair in in_agent if pair.public_data in _public_data(file)]
        named += held
        if not held:
            own += _load(file, config, keys)
    if config.flag("identitiesonly", default=False):
        in_agent = []
    keys.pairs = [*named, *(pair for pair in in_agent if pair not in named), *own]
    return keys


def _load(file: Path, config: SshConfig, keys: Keys) -> list[asyncssh.SSHKeyPair]:
    """Return the pairs of the private key *file*; note in *keys* why there is none."""
    certificates = _load_certificates(config.certificates)
    try:
        return list(asyncssh.load_keypairs([str(file)], certlist=certificates))
    except ValueError as error:
        if "assphrase" in str(error):
            keys.locked.append(file)
        else:
            keys.unreadable[file] = _kind_of(file) or str(error)
    except OSError as error:
        keys.unreadable[file] = error.strerror or str(error)
    return []


def _load_certificates(files: Sequence[Path]) -> list[asyncssh.SSHCertificate]:
    """Return the certificates in *files*, without those that cannot be read: as `ssh`, which goes on without them."""
    found: list[asyncssh.SSHCertificate] = []
    for file in files:
        with suppress(OSError, ValueError):
            found += asyncssh.load_certificates([str(file)])
    return found


def _public_file(file: Path) -> Path:
    return file.with_name(f"{file.name}.pub")


def _kind_of(file: Path) -> str | None:
    """Return what *file*, which has no private key of OpenSSH, has instead, and what to do; None if that is unknown."""
    with suppress(OSError):
        data = file.read_bytes()
        if data.startswith(b"PuTTY-User-Key-File"):
            return f"a key of PuTTY: convert it, puttygen {file} -O private-openssh -o NEW"
        if re.match(rb"[\w.@-]+ AAAA", data):
            return "a public key, whose private key no SSH agent has"
    return None


def _public_data(file: Path) -> list[bytes]:
    """Return the public key of *file*, whose private key may have a passphrase or be in the agent only."""
    for path in (_public_file(file), file):
        try:
            return [asyncssh.read_public_key(str(path)).public_data]
        except (OSError, ValueError):
            continue
    return []


class Login:
    """One login: it hands out the keys one after the other, and keeps what the server made of them."""

    def __init__(self, keys: Keys, accepted_algorithms: str | None = None, *, user: str = "") -> None:
        """*accepted_algorithms* is the value of PubkeyAcceptedAlgorithms, *user* who logs in."""
        self.user = user
        self.keys = keys
        self.accepted_algorithms = accepted_algorithms
        self.algorithms: Container[bytes] | None = None
        """The algorithms that keys may sign with; None: any."""
        self.methods: list[str] = []
        """What the server takes instead of a key."""
        self.takes_keys = False
        self.excluded: list[str] = []
        """The keys that can sign with none of `algorithms`, and are not tried."""
        self.signing: str | None = None
        """The key that an agent has been asked to sign with, as long as it has not."""
        self.unsigned: list[str] = []
        """The keys of `accepted` with which the agent refused to sign."""
        self.invalid: list[str] = []
        """The certificates of `tried` with which no server can let the user in, each with the reason."""
        self.tried: list[str] = []
        self.last: asyncssh.SSHKeyPair | None = None
        """The key that was tried last: after a login, the one that the server took."""
        self.accepted: list[str] = []
        """The keys of `tried` that the server knows, and whose owner it refused nevertheless."""
        self._left: Iterator[asyncssh.SSHKeyPair] = iter(keys.pairs)

    def next_key(self) -> asyncssh.SSHKeyPair | None:
        """Return the next key to try, None after the last."""
        self.takes_keys = True
        for pair in self._left:
            name = pair.get_comment() or pair.get_algorithm()
            if self.algorithms is None or any(algorithm in self.algorithms for algorithm in pair.sig_algorithms):
                break
            self.excluded.append(name)
        else:
            return None
        self.tried.append(name)
        self.last = pair
        if problem := _certificate_problem(pair, self.user):
            self.invalid.append(f"{name} {problem}")
        # A key is used to sign only when the server has said that it would take it.
        for method in ("sign", "sign_async"):
            if sign := getattr(pair, method, None):
                setattr(pair, method, self._noting(name, sign))
        return pair

    def _noting(self, name: str, sign: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
        async def await_signature(coming: Any) -> Any:
            self.signing = name  # it remains where time runs out meanwhile
            try:
                signature = await coming
            except ValueError:
                self.unsigned.append(name)
                self.signing = None
                raise
            self.signing = None
            return signature

        def noting(data: bytes) -> Any:
            self.accepted.append(name)
            signature = sign(data)
            return await_signature(signature) if inspect.isawaitable(signature) else signature

        return noting

    @property
    def has_more(self) -> bool:
        """Whether not all of the keys were tried."""
        return len(self.tried) + len(self.excluded) < len(self.keys.pairs)


def _certificate_problem(pair: asyncssh.SSHKeyPair, user: str) -> str:
    """Return why no server lets *user* in with the certificate of *pair*; "" for a valid one, and for none."""
    certificate = pair._cert
    if not isinstance(certificate, asyncssh.public_key.SSHOpenSSHCertificate):
        return ""
    try:
        certificate.validate(_USER_CERTIFICATE, user)
    except ValueError as error:
        reasons = {
            "Certificate expired": "has expired",
            "Certificate not yet valid": "is not valid yet: is this computer's clock right?",
            "Certificate principal mismatch": f"is for {', '.join(certificate.principals)}",
        }
        return reasons.get(str(error), f"is not valid for that: {error}")
    return ""


def explain_refusal(login: Login, where: str, user: str, copy_id: str, banner: str = "") -> DeviceRefused:
    """Return the error for a server, *where*, that let *user* in with none of the keys. *copy_id*: how to add one.

    *banner* is what the server showed meanwhile.
    """
    error = _explain_refusal(login, where, user, copy_id)
    return DeviceRefused(f'{error}; it says "{banner}"', hint=error.hint) if banner else error


def _explain_refusal(login: Login, where: str, user: str, copy_id: str) -> DeviceRefused:
    keys = login.keys
    if not login.takes_keys:
        offered = f"it takes {' or '.join(login.methods)} only" if login.methods else "it offers no way to log in"
        return DeviceRefused(
            f"{where} does not take keys from {user}: {offered}",
            hint="incamera logs in with a key: allow it in the SSH server's settings (PubkeyAuthentication yes)",
        )
    if login.unsigned and set(login.accepted) == set(login.unsigned):
        return DeviceRefused(
            f"{where} would take your key {login.unsigned[-1]}, but your SSH agent refused to sign with it",
            hint="did you decline, or is a security key not plugged in? `ssh-add -l` shows what the agent has",
        )
    if login.accepted:
        return DeviceRefused(
            f"{where} knows your key {login.accepted[-1]}, but does not let {user} in with it",
            hint="the server's settings forbid it (PermitRootLogin no or forced-commands-only, AllowUsers), the "
            "account has expired, or more than a key is asked for: log in as a user who may, or change the settings",
        )
    if login.invalid:
        return DeviceRefused(
            f"{where} does not let {user} in: the certificate {'; the certificate '.join(login.invalid)}",
            hint="`ssh-keygen -L -f FILE-cert.pub` shows what it is for; have your key signed again",
        )
    if keys.silent_agent is not None:
        return DeviceRefused(
            f"{where} does not let {user} in, and your SSH agent at {keys.silent_agent}, which may have the key, does "
            "not answer",
            hint="start it again, or name another with SSH_AUTH_SOCK",
        )
    if keys.locked:
        files = ", ".join(map(str, keys.locked))
        verb = "was" if len(login.tried) == 1 else "were"
        others = f" ({_count(login.tried)} {verb} refused)" if login.tried else ""
        return DeviceRefused(
            f"{where} does not let {user} in: {files} has a passphrase, and no SSH agent has that key{others}",
            hint=f"type ssh-add {keys.locked[0]} (first eval $(ssh-agent), if no agent runs); incamera never "
            "asks for a passphrase",
        )
    if login.excluded:
        names, tried = ", ".join(login.excluded), ", ".join(login.tried)
        return DeviceRefused(
            f"{where} does not let {user} in{f' with {tried}' if tried else ''}: ~/.ssh/config has incamera not offer "
            f"{names} (PubkeyAcceptedAlgorithms {login.accepted_algorithms})",
            hint="add what these keys can sign with to that line",
        )
    if not login.tried:
        why = "; ".join(f"{path}: {reason}" for path, reason in keys.unreadable.items())
        return DeviceRefused(
            f"{where} asks for a key, and there is none to offer{f' ({why})' if why else ''}",
            hint=f"make one with ssh-keygen -t ed25519, and put it on the camera: {copy_id}",
        )
    return DeviceRefused(
        f"{where} does not let {user} in with any of your keys ({', '.join(login.tried)})",
        hint=f"put your public key on it: {copy_id} (it asks for the password once)",
    )


def too_many_keys(login: Login, where: str) -> DeviceRefused:
    """Return the error for a server that ended the login before all keys were tried."""
    return DeviceRefused(
        f"{where} ended the login after {_count(login.tried)}, which it did not accept: it takes no more attempts",
        hint="name the right key in ~/.ssh/config (IdentityFile FILE, IdentitiesOnly yes), or take others out of "
        "the agent (ssh-add -d)",
    )


def _count(tried: Sequence[str]) -> str:
    return format_count(len(tried), "key")
