"""The configuration of the web server in front of the back end: transports, logins and roles."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from incamera.axis_os.event_stream import PATH as STREAM
from incamera.axis_os.service_accounts import ADDRESS

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.axis_os.answers import Route
    from incamera.axis_os.applications import Installed, Proxy
    from incamera.axis_os.facts import Facts

PORTS = {443: "https", 80: "http"}
# At the address of the accounts for apps.
SERVICE_PORT = 80
# Below the folder where Apache runs: a pipe to the back end, and a folder with a file for each blocked client.
FAILURES, BLOCKED = "failures", "blocked"
APACHE_MODULES = (
    "mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "authz_groupfile", "auth_basic", "auth_digest",
    "socache_shmcb", "ssl", "proxy", "proxy_http", "proxy_fcgi", "headers", "alias", "dir", "env", "mime", "reqtimeout",
    "setenvif",
)  # fmt: skip
_TYPES = {
    ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".json": "application/json",
    ".png": "image/png", ".jpg": "image/jpeg", ".svg": "image/svg+xml", ".txt": "text/plain",
    ".wasm": "application/wasm",
}  # fmt: skip
_ROLES = ("admin", "operator", "viewer")
# How clients log in, by Network.HTTP.AuthenticationPolicy.
_POLICIES = {
    "basic": {"http": "Basic", "https": "Basic"},
    "digest": {"http": "Digest", "https": "Digest"},
    "basic_digest": {"http": "Digest", "https": "Digest"},
    "recommended": {"http": "Digest", "https": "Basic"},
}
_PATH = re.compile(r"[A-Za-z0-9_.~$-][A-Za-z0-9_.~$/-]{0,200}")
_TCP = re.compile(r"(?:http|ws)://(?:localhost|127\.0\.0\.1):(?P<port>[0-9]{1,5})(?P<path>/[A-Za-z0-9_.~$/-]{0,200})?")
# The path of a socket: what one may have.
_SOCKET = re.compile(r"/[A-Za-z0-9_.~/-]{1,100}")
_SOCKET_KINDS = {
    "http": 'http://localhost{}" upgrade=websocket', "ws": 'http://localhost{}" upgrade=websocket',
    "fcgi": 'fcgi://localhost{}"',
}  # fmt: skip
# Virtual processors have no instructions for AES: ChaCha20 takes half as long, and an upload is many megabytes.
_CIPHERS = (
    "SSLCipherSuite TLSv1.3 TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384",
    "SSLCipherSuite SSL ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
)
# A package is unpacked and its script run before the answer to an upload begins.
_BACK_END_SECONDS = 600


def find_schemes(facts: Facts, parameters: Mapping[str, str]) -> dict[int, str]:
    """Return how clients log in at each port, "Digest" or "Basic", by the camera's *parameters*.

    A camera has one way for each transport (documented).
    """
    policy = parameters.get("root.Network.HTTP.AuthenticationPolicy", "")
    return {
        int(port): scheme if policy not in _POLICIES else _POLICIES[policy][PORTS[int(port)]]
        for port, scheme in facts.rules["schemes"].items()
    }


def render_configuration(
    facts: Facts, parameters: Mapping[str, str], routes: Mapping[str, Route], *, program: Path, run: Path
) -> str:
    """Return Apache's configuration. *program*: the folder with its modules, *run*: where it runs."""
    lines = [
        f'ServerRoot "{program}"',
        f'DefaultRuntimeDir "{run}"',
        f'PidFile "{run}/apache.pid"',
        f'ErrorLog "{run}/error.log"',
        "LogLevel warn",
        f"ServerName {facts.host_name}",
        "ServerTokens Full",
        "TraceEnable off",
        "UseCanonicalName off",
        *(f"LoadModule {name}_module modules/mod_{name}.so" for name in APACHE_MODULES),
        "User www-data",
        "Group www-data",
        # One process for all connections: those that come later would count as a use of the camera.
        "ServerLimit 1\nStartServers 1\nThreadLimit 32\nThreadsPerChild 32\nMaxRequestWorkers 32",
        "MinSpareThreads 1\nMaxSpareThreads 32\nMaxConnectionsPerChild 0",
        "Timeout 60\nKeepAlive On\nMaxKeepAliveRequests 0\nKeepAliveTimeout 5",
        "RequestReadTimeout header=10-20,MinRate=500 body=20,MinRate=500",
        "LimitRequestFields 100",
        "TypesConfig /dev/null",
        *(f"AddType {kind} {name}" for name, kind in _TYPES.items()),
        "Header always set X-Content-Type-Options nosniff",
        "Header always set X-Frame-Options SAMEORIGIN",
        'Header always set X-XSS-Protection "1; mode=block"',
        # No client says who has logged in.
        "RequestHeader unset X-Axis-User early",
        'RequestHeader set X-Axis-User "expr=%{REMOTE_USER}"',
        "SetEnv proxy-sendcl 1",
        "SSLSessionCache none",
        f'DocumentRoot "{run}/web"',
        "<Directory />\n AllowOverride None\n Options None\n</Directory>",
        *(
            f'ProxyPass "/{top}/" "unix:{run}/back-end.sock|http://camera/{top}/" disablereuse=on '
            f"connectiontimeout=10 timeout={_BACK_END_SECONDS}"
            for top in ("axis-cgi", "config")
        ),
        f'ProxyPass "{STREAM}" "unix:{run}/back-end.sock|http://camera{STREAM}" upgrade=websocket disablereuse=on '
        f"connectiontimeout=10 timeout={_BACK_END_SECONDS}",
    ]
    schemes = find_schemes(facts, parameters)
    for port, scheme in schemes.items():
        lines += [f"Listen {port}", f"<VirtualHost *:{port}>"]
        if PORTS[port] == "https":
            lines += ["SSLEngine on", f'SSLCertificateFile "{run}/certificate.pem"']
            lines += ["SSLProtocol -all +TLSv1.2 +TLSv1.3", "SSLHonorCipherOrder on", *_CIPHERS]
        lines += [*_logins(facts, scheme, PORTS[port], run), *_roles(routes, run / "passwords"), *_throttle(run)]
        lines += [f'Include "{run}/apps.conf"', "</VirtualHost>"]
    if SERVICE_PORT not in schemes:
        lines += [f"Listen {ADDRESS}:{SERVICE_PORT}"]
    lines += [f"<VirtualHost {ADDRESS}:{SERVICE_PORT}>"]
    lines += [*_service_logins(facts, run), *_roles(routes), f'Include "{run}/apps.conf"', "</VirtualHost>"]
    return "\n".join(lines) + "\n"


def render_apps(apps: Iterable[Installed], packages: Path, sockets: Path) -> str:
    """Return the part of the configuration for the web pages of *apps*, which are in the folder *packages*.

    *sockets* has the sockets of those with FastCGI pages. What a manifest says in another form than is known is left
    out: it would become part of the configuration.
    """
    lines = []
    for app in apps:
        at = f"/local/{app.name}"
        access = next((page.access for page in app.pages if not page.name), "admin")
        lines += [f'Alias "{at}/" "{packages}/{app.name}/html/"', *_access(f"{at}/", access)]
        for page in app.pages:
            if _PATH.fullmatch(page.name.strip("/")):
                path = f"{at}/{page.name.strip('/')}"
                lines += [f'ProxyPass "{path}" "unix:{sockets}/{app.name}.sock|fcgi://localhost{path}"']
                lines += _access(path, page.access)
        for rule in app.proxies:
            path = f"{at}/{rule.path.strip('/')}"
            if _PATH.fullmatch(rule.path.strip("/")) and (target := _target(rule, path)):
                lines += [f'ProxyPass "{path}" {target}', *_access(path, rule.access)]
    return "".join(f"{line}\n" for line in lines)


def _target(rule: Proxy, path: str) -> str:
    """Return where requests for *path* go; "" for a target that is none. One without a path gets the whole path."""
    if match := _TCP.fullmatch(rule.target):
        inner = match["path"] if len(match["path"] or "") > 1 else path
        return f'"http://127.0.0.1:{match["port"]}{inner}" upgrade=websocket'
    # The back end's own socket answers none of these: it has no page below /local.
    if not _SOCKET.fullmatch(rule.target) or ".." in rule.target or rule.kind not in _SOCKET_KINDS:
        return ""
    return f'"unix:{rule.target}|{_SOCKET_KINDS[rule.kind].format(path)}'


def _access(path: str, role: str) -> list[str]:
    known = {"anonymous": "Require all granted", **{one: f"Require group {one}" for one in _ROLES}}
    return [f'<Location "{path}">', known.get(role, "Require group admin"), "</Location>"]


def _logins(facts: Facts, scheme: str, transport: str, run: Path) -> list[str]:
    users = "digests" if scheme == "Digest" else "passwords"
    return _login(facts, scheme, run / users, run / f"groups-{transport}")


def _service_logins(facts: Facts, run: Path) -> list[str]:
    """Return how apps log in with the accounts that the camera has given them: by Basic alone (documented)."""
    return _login(facts, "Basic", run / "service-passwords", run / "service-groups")


def _throttle(run: Path) -> list[str]:
    """Return the lines that tell the back end of each wrong password, and refuse those whom it has blocked.

    A request without a login is asked for one, and that is no failure. The page is cut: a line of a pipe is written at
    once only when it is short.
    """
    return [
        'SetEnvIf Request_URI "^(.{1,300})" axis-page=$1',
        f'CustomLog "{run}/{FAILURES}" "%a %{{axis-page}}e" '
        "\"expr=%{REQUEST_STATUS} -eq 401 && -n req('Authorization')\"",
        f"<If \"-e '{run}/{BLOCKED}/%{{REMOTE_ADDR}}'\">",
        "Require all denied",
        "</If>",
    ]


def _login(facts: Facts, scheme: str, users: Path, groups: Path) -> list[str]:
    return [
        '<Location "/">',
        f'AuthName "{facts.realm}"',
        f"AuthType {scheme}",
        f"Auth{scheme}Provider file",
        f'AuthUserFile "{users}"',
        f'AuthGroupFile "{groups}"',
        "Require valid-user",
        "</Location>",
    ]


def _roles(routes: Mapping[str, Route], setup: Path | None = None) -> list[str]:
    """Return who may ask for which of *routes*; everybody for those of the setup, while the file *setup* is empty."""
    paths = defaultdict(list)
    for path, route in routes.items():
        paths[route.role, route.opens_setup, route.takes_tokens].append(path)
    lines = []
    for (role, opens_setup, takes_tokens), found in paths.items():
        for path in found:
            lines += [f'<Location "{path}">']
            if not role:
                lines += ["Require all granted"]
            else:
                lines += [f"Require group {role}"]
            if opens_setup and setup:
                lines += [f"Require expr \"! -s '{setup}'\""]
            if takes_tokens:
                lines += ['Require expr "%{QUERY_STRING} =~ /(^|&)wssession=[0-9]{1,20}(&|$)/"']
            lines += ["</Location>"]
    return lines
