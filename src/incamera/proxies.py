"""Which proxy the environment names for a server, and HTTP's Basic authentication."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from incamera.errors import ConfigError

# A name, or an address of either kind.
_HOST = re.compile(r"[A-Za-z0-9._:%-]+")


def find_proxy(environment: Mapping[str, str], scheme: str, netloc: str) -> str:
    """Return the URL of the proxy for *scheme*://*netloc*, or an empty string when it is reached without one.

    Raises ConfigError for a proxy that is neither http nor https, or whose address is malformed.
    """
    variable = _find_variable(environment, scheme)
    proxy = environment.get(variable, "").strip()
    if not proxy or _is_excepted(netloc, environment.get("no_proxy") or environment.get("NO_PROXY") or ""):
        return ""
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    kind = proxy.partition("://")[0].lower()
    if kind not in ("http", "https"):
        raise ConfigError(
            f"{variable} names a {kind} proxy, which incamera cannot use", hint=f"set {variable} to an http:// address"
        )
    if not _is_address(proxy):
        raise ConfigError(
            f"{variable} is {without_login(proxy)}, which is not the address of a proxy",
            hint=f"set {variable} to an address like http://proxy.example:3128, or unset it",
        )
    return proxy


def proxy_hint(environment: Mapping[str, str], scheme: str) -> str:
    """Return what to do when a server for *scheme* cannot be reached through its proxy."""
    return (
        f"{_find_variable(environment, scheme)} names the proxy: is its address right, and is it running? Its address "
        "may contain a name and a password: http://name:password@proxy:3128. Servers in no_proxy are reached without it"
    )


def without_login(proxy: str) -> str:
    """Return the URL *proxy* without its name and password, so that it can be shown."""
    head, separator, tail = proxy.partition("://")
    return f"{head}{separator}{tail.rpartition('@')[2]}"


def _find_variable(environment: Mapping[str, str], scheme: str) -> str:
    """Return the name of the variable that names the proxy for *scheme*; it may be unset."""
    names = [f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"]
    return next((name for name in names if environment.get(name)), names[0])


def _is_address(proxy: str) -> bool:
    try:
        parts = urlsplit(proxy)
        port = parts.port  # raises ValueError unless it is a number up to 65535
    except ValueError:
        return False
    host = parts.hostname or ""
    return bool(_HOST.fullmatch(host)) and port != 0 and parts.path in ("", "/") and not parts.query


def proxy_headers(proxy: str) -> dict[str, str]:
    """Return the headers for *proxy* itself: Proxy-Authorization, where its URL holds a name and password."""
    login, at, _ = urlsplit(proxy).netloc.rpartition("@")
    return {"Proxy-Authorization": basic_auth(login)} if at else {}


def basic_auth(login: str) -> str:
    """Return the value of an Authorization header for *login*: `name:password`, quoted as in a URL."""
    name, _, password = login.partition(":")
    return "Basic " + base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode("ascii")


def _is_excepted(netloc: str, no_proxy: str) -> bool:
    """Whether *no_proxy* (`localhost,.lan,10.0.0.1:80` or `*`) names the host in *netloc*."""
    host = netloc.rpartition("@")[2].lower()
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    for word in no_proxy.lower().replace(",", " ").split():
        if word == "*" or word in (host, name) or name.endswith("." + word.lstrip("*").lstrip(".")):
            return True
    return False
