"""The camera's system bus (D-Bus), and the service there that gives apps accounts for the web server.

The bus itself, Debian's dbus-daemon, lets those apps call the service whose manifest asks for its method.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from jeepney import DBusAddress, HeaderFields, Message, MessageFlag, MessageType, new_error, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, Proxy, open_dbus_connection
from jeepney.wrappers import new_method_call

from incamera.axis_os.service_accounts import NoAccount
from incamera.axis_os.xml_text import quoteattr

if TYPE_CHECKING:
    from incamera.axis_os.applications import Installed

NAME = "com.axis.HTTPConf1"
OBJECT = "/com/axis/HTTPConf1/VAPIXServiceAccounts1"
INTERFACE = f"{NAME}.VAPIXServiceAccounts1"
METHOD = "GetCredentials"
SOCKET = Path("/run/dbus/system_bus_socket")
USER = "messagebus"
_FAILED = "org.freedesktop.DBus.Error.Failed"
_BAD_ARGUMENTS = "org.freedesktop.DBus.Error.InvalidArgs"
_NO_METHOD = "org.freedesktop.DBus.Error.UnknownMethod"
_IS_OWNER = 1
_SECONDS = 30.0
_PAUSE_SECONDS = 0.03
_BUS = '<allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus{}"/>'
# What a system bus allows its users: to answer, and to ask the bus itself.
_DEFAULT = (
    '<allow user="*"/>',
    '<deny own="*"/>',
    '<deny send_type="method_call"/>',
    '<allow send_type="signal"/>',
    '<allow send_requested_reply="true" send_type="method_return"/>',
    '<allow send_requested_reply="true" send_type="error"/>',
    *(f'<allow receive_type="{kind}"/>' for kind in ("method_call", "method_return", "error", "signal")),
    *(_BUS.format(interface) for interface in ("", ".Introspectable", ".Peer", ".Properties")),
)


class BusFailed(Exception):
    """The bus does not do what it was asked; the text says what."""


def may_get_credentials(app: Installed) -> bool:
    """Whether the manifest of *app* asks for the method; `.*` at the end of a name stands for anything."""
    wanted = f"{INTERFACE}.{METHOD}"
    return any(wanted.startswith(name[:-1]) if name.endswith(".*") else wanted == name for name in app.methods)


def render_bus(apps: Iterable[Installed], *, socket: Path = SOCKET, user: str = USER, owner: str = "root") -> str:
    """Return the configuration of the bus, which runs as *user*; *owner* is the user of the service."""
    call = f'<allow send_destination="{NAME}" send_interface="{INTERFACE}" send_member="{METHOD}"/>'
    lines = [
        '<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"',
        ' "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">',
        "<busconfig>",
        "<type>system</type>",
        f"<user>{user}</user>",
        f"<listen>unix:path={socket}</listen>",
        "<auth>EXTERNAL</auth>",
        *_policy('context="default"', *_DEFAULT),
        *_policy(f"user={quoteattr(owner)}", f'<allow own="{NAME}"/>'),
    ]
    for app in apps:
        if may_get_credentials(app):
            lines += _policy(f"user={quoteattr(app.user)}", call)
    return "".join(f"{line}\n" for line in [*lines, "</busconfig>"])


def _policy(whose: str, *rules: str) -> list[str]:
    return [f"<policy {whose}>", *(f" {rule}" for rule in rules), "</policy>"]


def reload_bus(socket: Path = SOCKET) -> None:
    """Have the bus read its configuration again, and come back when it goes by it. Raises OSError."""
    with _connect(socket) as connection:
        bus = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
        connection.send_and_get_reply(new_method_call(bus, "ReloadConfig"), timeout=_SECONDS)


def offer_service(socket: Path = SOCKET) -> DBusConnection:
    """Return a connection that has the service's name, as soon as the bus answers.

    Raises OSError, and BusFailed when another has that name.
    """
    while True:
        # Between the two, the socket is there and nobody listens.
        with suppress(FileNotFoundError, ConnectionRefusedError):
            connection = _connect(socket)
            break
        time.sleep(_PAUSE_SECONDS)
    (answer,) = Proxy(message_bus, connection, timeout=_SECONDS).RequestName(NAME, 0)
    if answer != _IS_OWNER:
        connection.close()
        raise BusFailed(f"the bus gives the name {NAME} to somebody else")
    return connection


def serve(connection: DBusConnection, give: Callable[[str], str]) -> None:
    """Answer all calls of the service; *give* returns the credentials for a name. Raises OSError when the bus ends."""
    while True:
        if reply := answer(connection.receive(), give):
            connection.send(reply)


def answer(message: Message, give: Callable[[str], str]) -> Message | None:
    """Return the reply to *message*; None for one that wants none."""
    header = message.header
    if header.message_type is not MessageType.method_call or header.flags & MessageFlag.no_reply_expected:
        return None
    fields = header.fields
    asked = fields.get(HeaderFields.path), fields.get(HeaderFields.interface, INTERFACE), fields[HeaderFields.member]
    if asked != (OBJECT, INTERFACE, METHOD):
        return _refuse(message, _NO_METHOD, f"there is no method {'.'.join(asked[1:])} at {asked[0]}")
    if fields.get(HeaderFields.signature) != "s":
        return _refuse(message, _BAD_ARGUMENTS, f"{METHOD} takes one string")
    try:
        credentials = give(message.body[0])
    except NoAccount as error:
        return _refuse(message, _FAILED, str(error))
    return new_method_return(message, "s", (credentials,))


def _refuse(message: Message, name: str, text: str) -> Message:
    return new_error(message, name, "s", (text,))


def _connect(socket: Path) -> DBusConnection:
    return open_dbus_connection(f"unix:path={socket}", auth_timeout=_SECONDS)
