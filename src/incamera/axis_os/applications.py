"""The apps of a camera, as values: what is known of an installed one, and the replies that tell of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

from incamera.axis_os.xml_text import escape, quoteattr

if TYPE_CHECKING:
    from incamera.axis_os.facts import Facts

_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'
SDKS = ("acap3", "acap4-native")


class Code(IntEnum):
    """The error numbers of upload.cgi and control.cgi (VAPIX Application API)."""

    invalid = 1
    not_verified = 2
    no_room = 3
    not_found = 4
    other_camera = 5
    already_running = 6
    not_running = 7
    not_started = 8
    unspecified = 10
    busy = 12
    bad_account = 13
    other_case = 14
    timed_out = 15
    other_vendor = 27
    bad_manifest = 29


class Refused(Exception):
    """The camera does not do what it was asked. *code* is the error number; the text is for its log."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class RunMode(StrEnum):
    """When an app starts by itself."""

    respawn = "respawn"
    respawn_on_failure = "respawnOnFailure"
    once = "once"
    never = "never"

    @property
    def starts_at_boot(self) -> bool:
        """Whether an app that ran before a restart of the camera runs after it."""
        return self is not RunMode.never

    def restarts(self, exit_code: int) -> bool:
        """Whether an app that has ended by itself with *exit_code* is started again."""
        return self is RunMode.respawn or (self is RunMode.respawn_on_failure and exit_code != 0)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A rule that passes requests below `/local/APP/PATH` on to *target*. *access*: the role that may, or anonymous.

    *kind*: what a target that is the path of a socket speaks, `http`, `ws` or `fcgi`.
    """

    path: str
    target: str
    access: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A FastCGI page at `/local/APP/NAME` that *access* may see; with name "", the folder with the app's web files."""

    name: str
    access: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """An installed app. *uid* is that of its own user, *is_wanted* whether its user has started it.

    *groups*, *resources* and D-Bus *methods* are those that its manifest names, *ranges* its compatibleOsVersions,
    *proxies* its rules for the web server, *pages* its httpConfig. With *fast_cgi* it has FastCGI pages.
    """

    name: str
    title: str
    vendor: str
    version: str
    uid: int
    run_mode: str = "never"
    app_id: str = ""
    vendor_id: str = ""
    vendor_url: str = ""
    page: str = ""
    options: str = ""
    license: str = "None"
    is_signed: bool = False
    is_wanted: bool = False
    fast_cgi: bool = False
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    ranges: tuple[tuple[str, str], ...] = ()
    proxies: tuple[Proxy, ...] = ()
    pages: tuple[Page, ...] = ()
    uninstall_script: str = ""

    @property
    def user(self) -> str:
        return f"acap-{self.name}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Installed:
        known = {field.name for field in fields(cls)}
        found = {key: value for key, value in table.items() if key in known}
        found["groups"] = tuple(found.get("groups", ()))
        found["resources"] = tuple(found.get("resources", ()))
        found["methods"] = tuple(found.get("methods", ()))
        found["proxies"] = tuple(Proxy(**one) for one in found.get("proxies", ()))
        found["pages"] = tuple(Page(**one) for one in found.get("pages", ()))
        found["ranges"] = tuple((str(one), str(other)) for one, other in found.get("ranges", ()))
        return cls(**found)


def describe_app(
    manifest: Mapping[str, Any] | None,
    conf: Mapping[str, str],
    cgi: Iterable[Mapping[str, str]],
    *,
    name: str,
    version: str,
    uid: int,
    is_signed: bool,
) -> Installed:
    """Return the app *name* as its *manifest* describes it; one without, as package.conf and *cgi* (cgi.conf) do."""
    if manifest is None:
        return Installed(
            name=name,
            title=conf.get("PACKAGENAME") or name,
            vendor=conf.get("VENDOR", ""),
            version=version,
            uid=uid,
            run_mode=_run_mode(conf.get("STARTMODE", "")),
            app_id=conf.get("APPID", ""),
            page=conf.get("SETTINGSPAGEFILE", ""),
            options=conf.get("APPOPTS", ""),
            license=_license(conf.get("LICENSEPAGE", "")),
            is_signed=is_signed,
            fast_cgi=bool(conf.get("HTTPCGIPATHS")),
            pages=tuple(Page(one["name"], one["access"]) for one in cgi if one["type"] == "fastCgi"),
        )
    package = _table(manifest, "acapPackageConf")
    setup, settings = _table(package, "setup"), _table(package, "configuration")
    resources = _table(manifest, "resources")
    user, bus = _table(_table(resources, "linux"), "user"), _table(resources, "dbus")
    groups = [*_texts(user.get("groups")), *_texts(user.get("conditionalGroups"))]
    entries = settings.get("httpConfig")
    pages = _tables(entries)
    ranges = setup.get("compatibleOsVersions")
    return Installed(
        name=name,
        title=str(setup.get("friendlyName") or name),
        vendor=str(setup.get("vendor", "")),
        version=version,
        uid=uid,
        run_mode=_run_mode(str(setup.get("runMode", ""))),
        app_id=str(setup.get("appId", "")),
        vendor_id=str(setup.get("vendorId", "")),
        vendor_url=str(setup.get("vendorUrl", "")),
        page=str(settings.get("settingPage", "")),
        options=str(setup.get("runOptions", "")),
        license=_license(str(_table(package, "copyProtection").get("method", ""))),
        is_signed=is_signed,
        fast_cgi=any(one.get("type") == "fastCgi" for one in pages),
        groups=tuple(dict.fromkeys(groups)),
        resources=tuple(sorted(name for name in resources if _table(resources, name).get("enabled") is True)),
        methods=(*_texts(bus.get("requiredMethods")), *_texts(bus.get("conditionalMethods"))),
        ranges=tuple((str(one.get("min", "")), str(one.get("max", ""))) for one in _tables(ranges)),
        proxies=tuple(
            Proxy(*(str(one.get(key, "")) for key in ("apiPath", "target", "access", "apiType")))
            for one in _tables(settings.get("reverseProxy"))
        ),
        pages=tuple(
            Page(str(one.get("name", "")) if one.get("type") != "directory" else "", str(one.get("access", "")))
            for one in pages
            if one.get("type") in ("fastCgi", "directory")
        ),
        uninstall_script=str(_table(package, "uninstallation").get("preUninstallScript", "")),
    )


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _tables(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _run_mode(text: str) -> str:
    return text if text in list(RunMode) else RunMode.never


def _license(method: str) -> str:
    return {"axis": "Missing", "custom": "Custom"}.get(method, "None")


def result(code: int | None) -> str:
    """Return what upload.cgi and control.cgi answer: `OK`, or the error number *code*."""
    return "OK" if code is None else f"Error: {int(code)}"


def list_apps(facts: Facts, apps: Iterable[tuple[Installed, bool]]) -> str:
    """Return the reply of list.cgi to *apps*, each with whether it runs."""
    rows = "".join(f"\n {_row(facts, app, running)}" for app, running in apps)
    return f'{_HEAD}<reply result="ok">{rows}\n</reply>\n' if rows else f'{_HEAD}<reply result="ok"></reply>\n'


def _row(facts: Facts, app: Installed, running: bool) -> str:
    rules = facts.rules
    url = app.vendor_url
    shown = url.partition("://")[2] or url
    values = {
        "Name": app.name,
        "NiceName": app.title,
        "Vendor": app.vendor,
        "Version": app.version,
        "ApplicationID": app.app_id,
        "License": app.license,
        "Status": "Running" if running else "Stopped",
        "ConfigurationPage": f"local/{app.name}/{app.page}" if app.page else "",
        "VendorHomePage": f'<a href="{escape(url)}" target="_blank">{escape(shown)}</a>' if url else "",
        "LicenseName": rules["license_name"],
        "Bundled": "No",
        "SignatureStatus": "Signed" if app.is_signed else "Unknown",
    }
    optional = ("ApplicationID", "ConfigurationPage", "VendorHomePage")
    words = [
        f"{name}={quoteattr(values[name])}" for name in rules["app_attributes"] if values[name] or name not in optional
    ]
    ranges = "".join(
        "<VersionRange>"
        + (f"<Min>{escape(oldest)}</Min>" if oldest else "")
        + (f"<Max>{escape(newest)}</Max>" if newest else "")
        + "</VersionRange>"
        for oldest, newest in app.ranges
    )
    if not rules["has_children"] or not ranges:
        return f"<application {' '.join(words)} />"
    return f"<application {' '.join(words)}><CompatibleOsVersions>{ranges}</CompatibleOsVersions></application>"


def list_sdks() -> str:
    """Return the reply of info.cgi."""
    sdks = "".join(f"<sdk>{sdk}</sdk>" for sdk in SDKS)
    return f'<reply result="ok"><supportedSdks>{sdks}</supportedSdks></reply>\n'


def switch_reply(name: str, value: bool) -> str:
    """Return the reply of config.cgi to a question for the switch *name*."""
    return f'<reply result="ok"><param name="{name}" value="{"true" if value else "false"}" /></reply>\n'


def error_reply(message: str) -> str:
    """Return the reply of config.cgi to what it cannot do."""
    return f'<reply result="error"><error type="1" message={quoteattr(message)} /></reply>\n'
