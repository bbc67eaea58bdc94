"""OpenSSH's configuration (~/.ssh/config, /etc/ssh/ssh_config), read as `ssh` reads it.

The first value of an option wins, except for files of keys, which add up. Options that mean nothing here are read over,
so that a newer `ssh` may have more of them.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from incamera import proc
from incamera.errors import ConfigError, ToolFailed
from incamera.transport.canonical_names import (
    Canonical,
    Resolve,
    find_canonical_name,
    normalise_address,
    resolve_name,
)
from incamera.transport.ssh_syntax import (
    expand_environment,
    expand_tokens,
    expand_user,
    matches,
    matches_list,
    parse_seconds,
    read_lines,
    split_arguments,
)

SYSTEM_FILE = Path("/etc/ssh/ssh_config")
_DEPTH = 16
_EXEC_SECONDS = 10.0
# Options of several files or names: each file is an argument. All others have one argument.
_LISTS = frozenset({
    "userknownhostsfile", "globalknownhostsfile", "canonicaldomains", "canonicalizepermittedcnames",
})  # fmt: skip
_ADD_UP = frozenset({"identityfile", "certificatefile"})
# What has any number of arguments, and means nothing here.
_READ_OVER = frozenset({
    "sendenv", "setenv", "localforward", "remoteforward", "dynamicforward", "permitremoteopen",
    "ignoreunknown", "rekeylimit", "ipqos", "channeltimeout", "logverbose",
})  # fmt: skip
# Names that options had before.
_RENAMED = {
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "dsaauthentication": "pubkeyauthentication",
    "identityfile2": "identityfile",
}
_OFF = ("no", "false")
_NAMES_OF_KEYS = ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk")


@dataclass(frozen=True, kw_only=True, slots=True)
class SshConfig:
    """What `ssh` would use for one host. *values* has further options by their names in lower case.

    `keys` is None where no option names a key: then `default_keys` are tried. `proxy_jump` has the host nearest to us
    first. `agent` is None for `SSH_AUTH_SOCK`, "none" for no agent.
    """

    host: str
    port: int
    user: str | None
    keys: tuple[Path, ...] | None
    default_keys: tuple[Path, ...]
    certificates: tuple[Path, ...]
    known_hosts: tuple[Path, ...]
    known_hosts_command: tuple[str, ...]
    revoked_keys: Path | None
    agent: str | None
    host_key_alias: str | None
    proxy_jump: tuple[str, ...]
    proxy_command: str | None
    values: Mapping[str, str]

    def flag(self, name: str, *, default: bool) -> bool:
        """Return whether the option *name* is on."""
        return self.values[name] not in _OFF if name in self.values else default


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where configuration is read: the user's *home* and *environment*; *resolve* asks for the names of hosts."""

    home: Path
    environment: Mapping[str, str]
    system_file: Path = SYSTEM_FILE
    resolve: Resolve = resolve_name

    @property
    def files(self) -> list[Path]:
        return [self.home / ".ssh" / "config", self.system_file]


@dataclass(slots=True)
class _Reading:
    """The state of one reading: for which host, and what was found."""

    place: Place
    original_host: str
    user: str | None
    port: int | None
    values: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    host: str = ""
    final: bool = False
    wants_final: bool = False
    base: Path = Path()


def read_config(place: Place, host: str, *, user: str | None = None, port: int | None = None) -> SshConfig:
    """Return the configuration for *host*, as named by the user. Raises ConfigError, which names file and line."""
    reading = _Reading(place, host, user, port, host=host)
    _read_files(reading)
    reading.host = _canonical_host(reading)
    reading.values["hostname"] = reading.host.replace("%", "%%")
    # `ssh` reads its files again for `Match canonical` and `Match final`.
    if reading.wants_final or reading.values.get("canonicalizehostname", "no") not in _OFF:
        reading.final = True
        _read_files(reading)
    return _finish(reading)


def find_hosts(place: Place, name: str) -> tuple[bool, list[str]]:
    """Return whether the user's configuration is about *name*, and all names, not patterns, that it has.

    A pattern that begins with `*` is about any host, so it says nothing about one.
    """
    patterns: list[str] = []
    reading = _Reading(place, name, None, None, host=name)

    def collect(path: Path, number: int, keyword: str, arguments: list[str]) -> None:
        if keyword == "host":
            patterns.extend(arguments)
        elif keyword == "match":
            for at, criterion in enumerate(arguments[:-1]):
                if criterion.lower() in ("host", "originalhost"):
                    patterns.extend(arguments[at + 1].split(","))

    reading.base = place.home / ".ssh"
    try:
        _walk(reading, place.files[0], collect, depth=0)
    except ConfigError:
        return False, []  # said when the host is connected to
    named = [pattern for pattern in dict.fromkeys(patterns) if not pattern.startswith(("!", "*", "?"))]
    return any(matches(name, pattern) for pattern in named), [word for word in named if not set(word) & set("*?")]


# Reading


def _read_files(reading: _Reading) -> None:
    for path, base in zip(
        reading.place.files, (reading.place.home / ".ssh", reading.place.system_file.parent), strict=True
    ):
        reading.base = base
        _Evaluation(reading).read(path)


class _Evaluation:
    """Takes the lines of one file, and of those that it includes."""

    def __init__(self, reading: _Reading, *, active: bool = True, depth: int = 0) -> None:
        self._reading = reading
        self._active = active
        self._never = not active
        self._depth = depth

    def read(self, path: Path) -> None:
        for number, keyword, arguments in read_lines(path):
            try:
                self._take(keyword, arguments)
            except ValueError as error:
                raise ConfigError(f"{path}, line {number}: {error}") from error

    def _take(self, keyword: str, arguments: list[str]) -> None:
        if keyword == "host":
            self._active = not self._never and matches_list(self._reading.host, _require(arguments))
        elif keyword == "match":
            self._active = _match(self._reading, _require(arguments), skip=self._never)
        elif keyword == "include":
            for path in _included(self._reading, _require(arguments)):
                if self._depth == _DEPTH:
                    raise ValueError("too many files include one another")
                _Evaluation(self._reading, active=self._active, depth=self._depth + 1).read(path)
        elif keyword not in _READ_OVER:
            self._set(keyword, _require(arguments))

    def _set(self, keyword: str, arguments: list[str]) -> None:
        if keyword not in _LISTS and len(arguments) > 1 and keyword in _KNOWN:
            raise ValueError(f"{keyword} has more than one value: {' '.join(arguments)}")
        if not self._active:
            return
        reading = self._reading
        keyword = _RENAMED.get(keyword, keyword)
        if keyword in _ADD_UP:
            reading.lists.setdefault(keyword, [])
            reading.lists[keyword] += [word for word in arguments if word not in reading.lists[keyword]]
        elif keyword in _LISTS:
            reading.lists.setdefault(keyword, arguments)
        elif keyword in _PARSERS:
            reading.values.setdefault(keyword, _PARSERS[keyword](arguments[0]))
        elif keyword in ("proxyjump", "proxycommand"):
            # Each rules out the other: that which is set first counts.
            if not {"proxyjump", "proxycommand"} & reading.values.keys():
                reading.values[keyword] = arguments[0]
        else:
            reading.values.setdefault(keyword, arguments[0])


_KNOWN = frozenset({
    "addressfamily", "bindaddress", "ciphers", "compression", "connecttimeout", "hostkeyalgorithms", "hostkeyalias",
    "hostname", "identitiesonly", "identityagent", "kexalgorithms", "macs", "port", "preferredauthentications",
    "proxyjump", "pubkeyacceptedalgorithms", "pubkeyauthentication", "revokedhostkeys", "tag", "user", *_ADD_UP,
})  # fmt: skip


def _require(arguments: list[str]) -> list[str]:
    if not arguments or not arguments[0]:
        raise ValueError("the value is missing")
    return arguments


def _port(text: str) -> str:
    """Return the number of the port *text*, which may be the name of a service."""
    try:
        number = int(text) if re.fullmatch("[0-9]{1,5}", text) else socket.getservbyname(text, "tcp")
    except (OSError, ValueError):  # a name that is not UTF-8 is a ValueError
        number = 0
    if not 0 < number < 65536:
        raise ValueError(f'"{text}" is not a port')
    return str(number)


def _number(text: str) -> str:
    if not re.fullmatch("[0-9]{1,3}", text):
        raise ValueError(f'"{text}" is not a number')
    return text


def _choice(*words: str) -> Callable[[str], str]:
    """Return a parser that takes one of *words*, in upper or lower case."""

    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f'"{text}" is not one of {", ".join(words)}')
        return text.lower()

    return parse


_SWITCH = ("yes", "no", "true", "false")
# Return the value in its usual form, or raise ValueError.
_PARSERS: Mapping[str, Callable[[str], str]] = {
    "port": _port,
    "connecttimeout": lambda text: str(parse_seconds(text)),
    "canonicalizemaxdots": _number,
    "addressfamily": _choice("any", "inet", "inet6"),
    "canonicalizehostname": _choice(*_SWITCH, "always"),
    "canonicalizefallbacklocal": _choice(*_SWITCH),
    "compression": _choice(*_SWITCH),
    "identitiesonly": _choice(*_SWITCH),
    "proxyusefdpass": _choice(*_SWITCH),
    "pubkeyauthentication": _choice(*_SWITCH, "unbound", "host-bound"),
}


def _included(reading: _Reading, patterns: Sequence[str]) -> list[Path]:
    found: list[Path] = []
    for pattern in patterns:
        expanded = expand_user(expand_environment(pattern, reading.place.environment), reading.place.home)
        found += sorted(map(Path, glob.glob(str(reading.base / expanded))))  # noqa: PTH207 - it may be absolute
    return found


def _walk(reading: _Reading, path: Path, collect: Callable[[Path, int, str, list[str]], None], *, depth: int) -> None:
    """Call *collect* with each line of *path* and of the files that it includes."""
    for number, keyword, arguments in read_lines(path):
        if keyword == "include" and depth < _DEPTH:
            for included in _included(reading, arguments):
                _walk(reading, included, collect, depth=depth + 1)
        else:
            collect(path, number, keyword, arguments)


# Matching


def _match(reading: _Reading, arguments: list[str], *, skip: bool) -> bool:
    """Return whether the criteria of a line `Match` are met. Raises ValueError."""
    words = list(arguments)
    result = True
    while words:
        name, separator, value = words.pop(0).partition("=")
        negated, name = name.startswith("!"), name.removeprefix("!").lower()
        if name in ("all", "canonical", "final"):
            if name == "all" and words:
                raise ValueError("`Match all` has no further criteria")
            reading.wants_final |= name == "final"
            met = name == "all" or (name == "final" and reading.final) or (name == "canonical" and reading.final)
        else:
            if not separator:
                if not words:
                    raise ValueError(f"`Match {name}` has no value")
                value = words.pop(0)
            if skip or not result:
                continue
            met = _criterion(reading, name, value)
        result = result and met != negated
    return result and not skip


def _criterion(reading: _Reading, name: str, value: str) -> bool:
    place = reading.place
    if name == "exec":
        return _succeeds(expand_tokens(value, _tokens(reading)), place.environment)
    texts = {
        "host": _expand_host(reading),
        "originalhost": reading.original_host,
        "user": _user(reading) or local_user(place),
        "localuser": local_user(place),
        "tagged": reading.values.get("tag", ""),
        "sessiontype": "exec",
    }
    if name not in texts:
        raise ValueError(f"incamera cannot decide `Match {name}`")
    text, patterns = texts[name], value.split(",")
    if name in ("host", "originalhost"):
        return matches_list(text.lower(), [word.lower() for word in patterns])
    return matches_list(text, patterns)


def _succeeds(command: str, environment: Mapping[str, str]) -> bool:
    shell = environment.get("SHELL") or "/bin/sh"
    try:
        proc.run([shell, "-c", command], purpose="run Match exec", env=dict(environment), timeout=_EXEC_SECONDS)
    except ToolFailed:
        return False
    return True


# Values


def local_user(place: Place) -> str:
    """Return the name of the user on this computer."""
    import pwd  # lazy: not on Windows

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return place.environment.get("USER", "")


def _user(reading: _Reading) -> str | None:
    return reading.user or reading.values.get("user")


def _expand_host(reading: _Reading) -> str:
    named = reading.values.get("hostname")
    # Addresses of IPv6 are left as they are.
    host = reading.host if named is None else expand_tokens(named, {"h": reading.host})
    return host if ":" in host else host.lower()


def _canonical_host(reading: _Reading) -> str:
    """Return the host's address in its usual form, or its name, in full if the options ask for that."""
    host, values = _expand_host(reading), reading.values
    if (address := normalise_address(host)) is not None:
        return host if address == host.lower() else address
    canonicalise = values.get("canonicalizehostname", "no")
    if canonicalise != "always" and any(
        values.get(name, "none").lower() != "none" for name in ("proxycommand", "proxyjump")
    ):
        return host  # the proxy makes of the name what it does
    domains = reading.lists.get("canonicaldomains", [])
    permitted = reading.lists.get("canonicalizepermittedcnames", [])
    options = Canonical(
        is_on=canonicalise not in _OFF,
        domains=[domain for domain in domains if domain.lower() != "none"],
        most_dots=int(values.get("canonicalizemaxdots", "1")),
        falls_back=values.get("canonicalizefallbacklocal", "yes") not in _OFF,
        permitted=[rule for rule in permitted if rule.lower() != "none"],
    )
    return find_canonical_name(host, options, reading.place.resolve)


def _tokens(reading: _Reading) -> dict[str, str]:
    host = _expand_host(reading)
    local = socket.gethostname()
    port = str(reading.port or reading.values.get("port", 22))
    user, here = _user(reading) or "root", local_user(reading.place)
    jump = reading.values.get("proxyjump", "").rpartition(",")[2]
    digest = hashlib.sha1(os.fsencode(f"{local}{host}{port}{user}{jump}"), usedforsecurity=False).hexdigest()
    return {
        "C": digest,
        "d": str(reading.place.home),
        "h": host,
        "i": str(os.getuid()),
        "j": jump,
        "k": reading.values.get("hostkeyalias", reading.original_host),
        "L": local.partition(".")[0],
        "l": local,
        "n": reading.original_host,
        "p": port,
        "r": user,
        "u": here,
    }


def _finish(reading: _Reading) -> SshConfig:
    place, values = reading.place, reading.values
    tokens = _tokens(reading)

    def path(text: str) -> Path:
        return Path(expand_user(expand_tokens(expand_environment(text, place.environment), tokens), place.home))

    def paths(name: str, default: Sequence[str] = ()) -> tuple[Path, ...]:
        words = reading.lists.get(name, list(default))
        return tuple(path(word) for word in words if word.lower() != "none")

    agent = values.get("identityagent")
    if agent is not None and agent.startswith("$") and not agent.startswith("${"):
        agent = place.environment.get(agent[1:], "none")
    elif agent not in (None, "none", "SSH_AUTH_SOCK"):
        agent = str(path(agent or ""))
    jumps, command = values.get("proxyjump"), values.get("proxycommand")
    revoked = values.get("revokedhostkeys", "none")
    proxy_tokens = {name: tokens[name] for name in "hnpr"}
    return SshConfig(
        host=tokens["h"],
        port=int(tokens["p"]),
        user=_user(reading),
        keys=paths("identityfile") if "identityfile" in reading.lists else None,
        default_keys=tuple(place.home / ".ssh" / name for name in _NAMES_OF_KEYS),
        certificates=paths("certificatefile"),
        known_hosts=(
            *paths("userknownhostsfile", ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")),
            *(Path(expand_user(word, place.home)) for word in reading.lists.get("globalknownhostsfile", _GLOBAL)),
        ),
        known_hosts_command=_known_hosts_command(values.get("knownhostscommand", "none"), tokens),
        revoked_keys=path(revoked) if revoked.lower() != "none" else None,
        agent=None if agent == "SSH_AUTH_SOCK" else agent,
        host_key_alias=values.get("hostkeyalias"),
        proxy_jump=_jumps(expand_tokens(jumps, proxy_tokens)) if jumps else (),
        proxy_command=expand_tokens(command, proxy_tokens) if command and command.lower() != "none" else None,
        values=values,
    )


def _known_hosts_command(text: str, tokens: Mapping[str, str]) -> tuple[str, ...]:
    """Return the program and the arguments of KnownHostsCommand; () for none."""
    if text.lower() == "none":
        return ()
    name = tokens["k"] if tokens["p"] == "22" else f"[{tokens['k']}]:{tokens['p']}"
    # It is asked once, before the host's key is known; `ssh` asks it again then.
    asked = {"H": name, "I": "HOSTNAME", "t": "NONE", "f": "NONE", "K": "NONE"}
    try:
        return tuple(expand_tokens(word, {**tokens, **asked}) for word in split_arguments(text))
    except ValueError as error:
        raise ConfigError(f"KnownHostsCommand {text}: {error}") from error


def ask_known_hosts_command(config: SshConfig, environment: Mapping[str, str]) -> str:
    """Return what KnownHostsCommand prints: lines as in known_hosts. Nothing where it fails, as with `ssh`."""
    try:
        done = proc.run(
            config.known_hosts_command, purpose="ask KnownHostsCommand", env=dict(environment), timeout=_EXEC_SECONDS
        )
    except ToolFailed:
        return ""
    return done.stdout.decode("utf-8", "replace")


_GLOBAL = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")


def _jumps(text: str) -> tuple[str, ...]:
    if text.lower() == "none":
        return ()
    return tuple(word.removeprefix("ssh://").rstrip("/") for word in text.split(","))
