"""The accounts that apps get over D-Bus, with Debian's dbus-daemon and Apache on this computer."""

from __future__ import annotations

import base64
import getpass
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from jeepney import DBusAddress, DBusErrorResponse, new_method_call
from jeepney.io.blocking import open_dbus_connection
from jeepney.wrappers import unwrap_msg

from incamera.axis_os.applications import Installed
from incamera.axis_os.bus import INTERFACE, METHOD, NAME, OBJECT, offer_service, reload_bus, render_bus, serve
from incamera.axis_os.service_accounts import MOST_ACCOUNTS, NoAccount, ServiceAccounts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Served

GRANTED = f"{INTERFACE}.{METHOD}"


def ask(served: Served, login: str, target: str, *, at: str) -> bytes:
    head = (
        f"GET /axis-cgi/{target} HTTP/1.0\r\nAuthorization: Basic {base64.b64encode(login.encode()).decode()}\r\n\r\n"
    )
    send = {"app": served.send_as_app, "https": served.send_encrypted, "http": served.send}[at]
    return send(head.encode())


def test_account_of_an_app_is_an_administrator_at_its_address_alone(served: Served) -> None:
    login = served.give_credentials("lookout")
    user, _, password = login.partition(":")
    assert (user[:1], user.partition("-")[2], len(password)) == ("a", "lookout", 32)
    assert b"root.Brand.Brand=AXIS" in ask(served, login, "param.cgi?action=list&group=root.Brand", at="app")
    assert ask(served, login, "usergroup.cgi", at="app").endswith(f"{user}\nadmin operator viewer ptz\n".encode())
    changed = ask(served, login, "param.cgi?action=update&Image.I0.Name=by-an-app", at="app")
    assert (changed[-2:], served.camera.parameters()["root.Image.I0.Name"]) == (b"OK", "by-an-app")
    for at in ("http", "https"):
        assert b" 401 " in ask(served, login, "param.cgi?action=list", at=at).splitlines()[0]
    # Nor are the camera's other accounts let in there, and there is no other way than Basic.
    refused = ask(served, "root:pass", "param.cgi?action=list", at="app")
    assert b" 401 " in refused.splitlines()[0]
    assert [line.split()[1] for line in refused.splitlines() if line.startswith(b"WWW-Authenticate")] == [b"Basic"]


def test_setup_is_not_open_at_the_address_of_apps(served: Served) -> None:
    (served.folder / "passwords").write_text("")
    try:
        target = "pwdgrp.cgi?action=get"
        assert b" 200 " in ask(served, "nobody:x", target, at="https").splitlines()[0]
        assert b" 401 " in ask(served, "nobody:x", target, at="app").splitlines()[0]
    finally:
        served.reload()


class AppOfThisUser(Installed):
    """An app whose user is that of the test's process: every computer has that one."""

    @property
    def user(self) -> str:
        return getpass.getuser()


@dataclass(frozen=True)
class Bus:
    """A bus with the camera's service. All on it are the same user: the service, the bus and the app that calls."""

    folder: Path

    @property
    def socket(self) -> Path:
        return self.folder / "bus"

    @property
    def configuration(self) -> Path:
        return self.folder / "bus.conf"

    def install(self, *methods: str) -> None:
        """Write what the bus is to know of an app whose manifest asks for *methods*."""
        app = AppOfThisUser(name="lookout", title="", vendor="", version="1.0.0", uid=0, methods=methods)
        user = getpass.getuser()
        self.configuration.write_text(render_bus([app], socket=self.socket, user=user, owner=user))

    def call(self, *arguments: object, signature: str = "s", method: str = METHOD, path: str = OBJECT) -> str:
        with open_dbus_connection(f"unix:path={self.socket}") as connection:
            message = new_method_call(DBusAddress(path, NAME, INTERFACE), method, signature, arguments)
            (answer,) = unwrap_msg(connection.send_and_get_reply(message, timeout=60))
            return str(answer)


@pytest.fixture
def bus(served: Served, tmp_path: Path) -> Iterator[Bus]:
    found = Bus(tmp_path)
    found.install()
    options = ("--nofork", "--nopidfile", "--nosyslog")
    with subprocess.Popen(served.start("bin/dbus-daemon", f"--config-file={found.configuration}", *options)) as process:
        try:
            connection = offer_service(found.socket)

            def work() -> None:
                with suppress(OSError), connection:
                    serve(connection, served.give_credentials)

            server = threading.Thread(target=work)
            server.start()
            yield found
        finally:
            process.terminate()
    server.join()


@pytest.mark.parametrize("methods", [(GRANTED,), (f"{NAME}.*",), ("com.axis.Overlay2.*", f"{INTERFACE}.*")])
def test_app_whose_manifest_asks_for_it_gets_an_account(served: Served, bus: Bus, methods: tuple[str, ...]) -> None:
    with pytest.raises(DBusErrorResponse, match="AccessDenied"):
        bus.call("lookout")
    bus.install(*methods)
    reload_bus(bus.socket)
    one, other = bus.call("lookout"), bus.call("lookout")
    assert one != other
    for login in (one, other):
        assert b" 200 " in ask(served, login, "usergroup.cgi", at="app").splitlines()[0]
    bus.install("com.axis.Overlay2.*", f"{INTERFACE}.GetCredentials2", "com.axis.HTTPConf10.*")
    reload_bus(bus.socket)
    with pytest.raises(DBusErrorResponse, match="AccessDenied"):
        bus.call("lookout")


def test_call_that_the_service_does_not_know_is_refused(served: Served, bus: Bus) -> None:
    bus.install(GRANTED)
    reload_bus(bus.socket)
    for name in ("", "a:b", "a b", "a\nb", "x" * 65, "ä"):
        with pytest.raises(DBusErrorResponse, match="1 to 64 letters"):
            bus.call(name)
    for arguments, signature in (((7,), "u"), ((), ""), (("a", "b"), "ss")):
        with pytest.raises(DBusErrorResponse, match="InvalidArgs"):
            bus.call(*arguments, signature=signature)
    with pytest.raises(DBusErrorResponse, match="UnknownMethod"):
        bus.call("lookout", path="/com/axis/HTTPConf1/Auth")
    with pytest.raises(DBusErrorResponse, match="AccessDenied"):
        bus.call("lookout", method="Other")
    assert bus.call("still-there")


def test_camera_gives_no_more_accounts_than_it_has(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.camera, "service_accounts", ServiceAccounts())
    logins = [served.give_credentials(f"app-{number}") for number in range(MOST_ACCOUNTS)]
    with pytest.raises(NoAccount, match=str(MOST_ACCOUNTS)):
        served.give_credentials("late")
    # Apache knows all of them: it reads a line no further than to its 8192nd character.
    assert b" 200 " in ask(served, logins[-1], "applications/list.cgi", at="app").splitlines()[0]
