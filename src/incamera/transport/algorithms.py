"""The algorithms that OpenSSH's configuration names, as asyncssh takes them.

Each of both has some that the other lacks: `ssh` leaves out nothing that it knows, so a line for it may name more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

from asyncssh.encryption import get_encryption_algs
from asyncssh.kex import get_kex_algs
from asyncssh.mac import get_mac_algs
from asyncssh.public_key import get_certificate_algs, get_public_key_algs

from incamera.errors import ConfigError

_OPTIONS: Mapping[str, tuple[str, str, Callable[[], Sequence[bytes]]]] = {
    "ciphers": ("Ciphers", "encryption_algs", get_encryption_algs),
    "macs": ("MACs", "mac_algs", get_mac_algs),
    "kexalgorithms": ("KexAlgorithms", "kex_algs", get_kex_algs),
    "pubkeyacceptedalgorithms": ("PubkeyAcceptedAlgorithms", "signature_algs", get_public_key_algs),
    "hostkeyalgorithms": (
        *("HostKeyAlgorithms", "server_host_key_algs"),
        lambda: [*get_certificate_algs(), *get_public_key_algs()],
    ),
}


def select_algorithms(values: Mapping[str, str]) -> dict[str, str]:
    """Return asyncssh's arguments for the options *values*, without algorithms that it does not have.

    Raises ConfigError for an option that leaves none.
    """
    arguments = {}
    for option, (shown, name, known) in _OPTIONS.items():
        text = values.get(option)
        if text is None:
            continue
        sign = text[:1] if text[:1] in ("+", "-", "^") else ""
        words = text.removeprefix(sign).split(",")
        left = [word for word in words if any(fnmatchcase(one.decode(), word) for one in known())]
        if left:
            arguments[name] = sign + ",".join(left)
        elif not sign:  # with a sign, those that are used otherwise remain
            raise ConfigError(
                f"~/.ssh/config says `{shown} {text}`, of which incamera has none",
                hint=f"name others, too; incamera has {', '.join(sorted(one.decode() for one in known()))}",
            )
    return arguments
