"""The full name of a host that the user gave a short one: `CanonicalizeHostname` of OpenSSH's configuration."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from incamera.errors import ConfigError
from incamera.transport.ssh_syntax import matches_list

Resolve = Callable[[str], str | None]
"""Returns the canonical name (the end of the CNAMEs) of a host; None where there is no such host."""


def resolve_name(name: str) -> str | None:
    """Ask the system for the canonical name of *name*."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)
    except (OSError, UnicodeError):  # a name that cannot be sent is a UnicodeError
        return None
    return found[0][3] or name


def normalise_address(host: str) -> str | None:
    """Return the usual form of the address *host*; None where it is a name."""
    try:
        [address, *_] = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return socket.getnameinfo(address[4], socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
    except (OSError, UnicodeError):
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Canonical:
    """The options about canonical names. *permitted*: words `NAMES:CANONICAL NAMES`, each a list of patterns."""

    is_on: bool
    domains: Sequence[str] = ()
    most_dots: int = 1
    falls_back: bool = True
    permitted: Sequence[str] = ()


def find_canonical_name(host: str, options: Canonical, resolve: Resolve) -> str:
    """Return the name that *host* has with one of the domains, or by a CNAME that the options permit, else *host*.

    Raises ConfigError where no domain has such a host and the options forbid to go on with its short name.
    """
    if not options.is_on:
        return host
    if host.endswith(".") or host.count(".") <= options.most_dots:
        anchored = [host] if host.endswith(".") else [f"{host}.{domain}." for domain in options.domains]
        for name in anchored:
            if (canonical := resolve(name)) is not None:
                return _follow(name.removesuffix("."), canonical, options)
        if not options.falls_back:
            raise ConfigError(
                f"there is no host called {host} in the domains of ~/.ssh/config ({' '.join(options.domains)})",
                hint="name it in full, or say `CanonicalizeFallbackLocal yes` there",
            )
    if options.permitted and (canonical := resolve(host)) is not None:
        return _follow(host, canonical, options)
    return host


def _follow(name: str, canonical: str, options: Canonical) -> str:
    canonical = canonical.removesuffix(".").lower()
    for rule in options.permitted:
        names, _, targets = rule.lower().partition(":")
        if matches_list(name.lower(), names.split(",")) and matches_list(canonical, targets.split(",")):
            return canonical
    return name
