"""Which path of the camera's web server is answered by what, and who may ask."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.axis_os.accounts import change_accounts, describe_user, list_groups, page
from incamera.axis_os.applications import Code, Refused, error_reply, list_apps, list_sdks, result, switch_reply
from incamera.axis_os.device import answer_api_discovery, answer_device_info, answer_system_ready, system_ready
from incamera.axis_os.discovery import answer_discover
from incamera.axis_os.dynamic_parameters import RequestFailed
from incamera.axis_os.event_stream import PATH as STREAM
from incamera.axis_os.exchange import BAD_REQUEST, NOT_FOUND, Reply, Request
from incamera.axis_os.multipart import BadUpload
from incamera.axis_os.parameters import (
    ADMIN,
    NOBODY,
    OPERATOR,
    VIEWER,
    define_parameters,
    find_changes,
    list_parameters,
    readable,
)
from incamera.axis_os.pictures import image, video
from incamera.axis_os.ssh import PATHS as SSH_PATHS
from incamera.axis_os.ssh import answer_users

if TYPE_CHECKING:
    from incamera.axis_os.camera import Camera

_CONTROL = ("start", "stop", "restart", "remove")


@dataclass(frozen=True, slots=True)
class Route:
    """What answers at a path. *role*: who may ask, "" for everybody. *is_upload*: the body is not read beforehand.

    *opens_setup*: a camera without accounts lets everybody ask. *has_items*: it also answers at PATH/NAME.
    *takes_tokens*: a token in the query stands for a login, and is checked by what answers.
    """

    answer: Callable[[Camera, Request], Reply]
    role: str
    is_upload: bool = False
    opens_setup: bool = False
    has_items: bool = False
    takes_tokens: bool = False


def find_route(path: str) -> Route | None:
    """Return what answers at *path*: the route of that path, or one that has what lies below it."""
    route = ROUTES.get(path)
    if route is None:
        above = ROUTES.get(path.rpartition("/")[0])
        return above if above is not None and above.has_items else None
    return route


def answer(camera: Camera, request: Request) -> Reply:
    """Return what *camera* replies to *request*, whose user may ask it."""
    route = find_route(request.path)
    return NOT_FOUND if route is None else route.answer(camera, request)


def _system_ready(camera: Camera, request: Request) -> Reply:
    def data() -> dict[str, str]:
        needs_setup = not camera.kept.accounts
        return system_ready(camera.facts, needs_setup=needs_setup, uptime=camera.uptime, boot_id=camera.boot_id)

    return answer_system_ready(camera.facts, request, data)


def _param(camera: Camera, request: Request) -> Reply:
    fields, right = request.fields, _right(camera, request.user)
    match action := fields.get("action", ""):
        case "list":
            return Reply.text(list_parameters(readable(camera.parameters(), right), fields.get("group")))
        case "listdefinitions":
            model, group = camera.parameters()["root.Brand.ProdShortName"], fields.get("group")
            shown = readable(camera.parameters(), right)
            return Reply.xml(define_parameters(shown, group, model, camera.facts.version))
        case "update" | "add" | "remove" if right < OPERATOR:
            return Reply.text("# Error: You are not authorized to set the parameter\n")
        case "update":
            changes, text = find_changes(camera.parameters(), fields, right)
            if changes:
                camera.set_parameters(changes)
            return Reply.text(text)
        case "add" | "remove":
            try:
                return Reply.text(camera.add_group(fields) if action == "add" else camera.remove_groups(fields))
            except RequestFailed as error:
                return Reply.text(f"# Request failed: {error}\n")
        case "":
            return Reply.text("# Error: action must be specified\n")
        case other:
            return Reply.text(f"# Error: unknown action '{other[:40]}'\n")


def _right(camera: Camera, user: str) -> int:
    rights = {"admin": ADMIN, "operator": OPERATOR, "viewer": VIEWER}
    return max((rights.get(role, NOBODY) for role in _roles(camera, user)), default=NOBODY)


def _roles(camera: Camera, user: str) -> tuple[str, ...]:
    account = camera.account(user)
    return account.roles if account else ()


def _pwdgrp(camera: Camera, request: Request) -> Reply:
    if request.fields.get("action") == "get":
        return Reply.text(list_groups(camera.kept.accounts))
    with camera.changing() as kept:
        kept.accounts, text = change_accounts(kept.accounts, request.fields, camera.facts.realm)
    return Reply(page(text).encode(), "text/html")


def _usergroup(camera: Camera, request: Request) -> Reply:
    return Reply.text(describe_user(request.user, _roles(camera, request.user)))


def _upload(camera: Camera, request: Request) -> Reply:
    if request.method != "POST" or request.stream is None:
        return Reply.text(result(Code.invalid))
    try:
        camera.upload(request.stream, request.length, request.content_type)
    except BadUpload as error:
        return _refuse(camera, Refused(Code.invalid, str(error)))
    except Refused as refused:
        return _refuse(camera, refused)
    return Reply.text(result(None))


def _control(camera: Camera, request: Request) -> Reply:
    action, name = request.fields.get("action", ""), request.fields.get("package", "")
    if action not in _CONTROL or not name:
        return BAD_REQUEST
    try:
        camera.control(action, name)
    except Refused as refused:
        return _refuse(camera, refused)
    return Reply.text(result(None))


def _refuse(camera: Camera, refused: Refused) -> Reply:
    camera.log.write("acapctl", f"code {int(refused.code)}: {refused}", pid=os.getpid(), level="ERR")
    return Reply.text(result(refused.code))


def _list(camera: Camera, request: Request) -> Reply:
    return Reply.xml(list_apps(camera.facts, camera.apps()))


def _info(camera: Camera, request: Request) -> Reply:
    return Reply.xml(list_sdks())


def _config(camera: Camera, request: Request) -> Reply:
    fields = request.fields
    name, action, value = fields.get("name", ""), fields.get("action", ""), fields.get("value", "")
    state = camera.switch(name)
    if state is None or action not in ("get", "set") or (action == "set" and value not in ("true", "false")):
        # From 12.2 on (documented).
        if camera.facts.generation == "11":
            return Reply.xml(error_reply("Error: no such parameter"))
        return BAD_REQUEST
    if action == "set":
        state = value == "true"
        with camera.changing() as kept:
            kept.switches[name] = state
    return Reply.xml(switch_reply(name, state))


def _image(camera: Camera, request: Request) -> Reply:
    return image(camera.pictures, request.fields, _resolution(camera))


def _video(camera: Camera, request: Request) -> Reply:
    return video(camera.pictures, request.fields, _resolution(camera))


def _resolution(camera: Camera) -> str:
    return camera.parameters().get("root.Image.I0.Appearance.Resolution", "")


def _system_log(camera: Camera, request: Request) -> Reply:
    return Reply.text(camera.log.show(request.fields.get("appname")))


def _ssh_users(camera: Camera, request: Request) -> Reply:
    if not camera.has_ssh_users:
        return NOT_FOUND
    with camera.changing() as kept:
        kept.ssh_users, reply = answer_users(kept.ssh_users, request, camera.hash_password)
    return reply


def _session(camera: Camera, request: Request) -> Reply:
    return Reply.text(f"{camera.tokens.make()}\n")


def _no_websocket(camera: Camera, request: Request) -> Reply:
    """Answer what asks for the stream of events, but for no WebSocket."""
    return BAD_REQUEST


def _restart(camera: Camera, request: Request) -> Reply:
    camera.restart()
    return Reply(page("The camera restarts.").encode(), "text/html")


def _factory_default(camera: Camera, request: Request) -> Reply:
    camera.set_back()
    camera.restart()
    return Reply(page("The camera restarts with its factory default settings.").encode(), "text/html")


ROUTES: Mapping[str, Route] = {
    "/axis-cgi/systemready.cgi": Route(_system_ready, ""),
    "/axis-cgi/basicdeviceinfo.cgi": Route(lambda camera, request: answer_device_info(camera.facts, request), "viewer"),
    "/axis-cgi/apidiscovery.cgi": Route(lambda camera, request: answer_api_discovery(camera.facts, request), "viewer"),
    "/axis-cgi/param.cgi": Route(_param, "viewer"),
    "/axis-cgi/pwdgrp.cgi": Route(_pwdgrp, "admin", opens_setup=True),
    "/axis-cgi/usergroup.cgi": Route(_usergroup, "viewer"),
    "/axis-cgi/applications/upload.cgi": Route(_upload, "admin", is_upload=True),
    "/axis-cgi/applications/control.cgi": Route(_control, "admin"),
    "/axis-cgi/applications/list.cgi": Route(_list, "admin"),
    "/axis-cgi/applications/config.cgi": Route(_config, "admin"),
    "/axis-cgi/applications/info.cgi": Route(_info, "admin"),
    "/axis-cgi/restart.cgi": Route(_restart, "admin"),
    "/axis-cgi/factorydefault.cgi": Route(_factory_default, "admin"),
    "/axis-cgi/hardfactorydefault.cgi": Route(_factory_default, "admin"),
    "/axis-cgi/wssession.cgi": Route(_session, "viewer"),
    STREAM: Route(_no_websocket, "viewer", takes_tokens=True),
    "/config/discover": Route(lambda camera, request: answer_discover(camera.facts), "admin"),
    "/axis-cgi/jpg/image.cgi": Route(_image, "viewer"),
    "/axis-cgi/mjpg/video.cgi": Route(_video, "viewer"),
    "/axis-cgi/admin/systemlog.cgi": Route(_system_log, "admin"),
    "/axis-cgi/systemlog.cgi": Route(_system_log, "admin"),
    **{path: Route(_ssh_users, "admin", has_items=True) for path in SSH_PATHS},
}
