"""Which proxy the environment names for a server, and HTTP's Basic authentication."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from incamera.errors import ConfigError


def find_proxy(environment: Mapping[str, str], scheme: str, netloc: str) -> str:
    """Return the URL of the proxy for *scheme*://*netloc*, or an empty string when it is reached without one.

    Raises ConfigError for a proxy that is neither http nor https.
    """

    def read(name: str) -> str:
        return environment.get(name) or environment.get(name.upper()) or ""

    variable = f"{scheme}_proxy" if read(f"{scheme}_proxy") else "all_proxy"
    proxy = read(variable)
    if not proxy or _is_excepted(netloc, read("no_proxy")):
        return ""
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    kind = proxy.partition("://")[0]
    if kind not in ("http", "https"):
        raise ConfigError(
            f"{variable} names a {kind} proxy, which incamera cannot use", hint=f"set {variable} to an http:// address"
        )
    return proxy


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
