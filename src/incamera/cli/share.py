"""`incamera share serve|add|attach|detach|list|remove`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command, add_device_option, add_project_option

if TYPE_CHECKING:
    from incamera.console import Console
    from incamera.share.settings import ShareSettings
    from incamera.share.values import Share


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "share",
        help="network shares: serve a folder, mount it on a camera",
        description="Folders of this computer that cameras mount as their network share.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True, parser_class=type(parser))
    serve = add_command(
        actions,
        "serve",
        execute_serve,
        help="serve a folder to cameras, until Ctrl-C",
        description="Serve a folder to cameras over SMB, until Ctrl-C. No root is needed. Options that are left out "
        "keep the values that they had last time.",
    )
    serve.add_argument(
        "folder", metavar="FOLDER", nargs="?", type=Path, help="the folder to serve (default: a new one)"
    )
    serve.add_argument("--name", default="share", help="the share's name (default: share)")
    _add_options(
        serve,
        address="listen on this address of this computer (default: 127.0.0.1, for virtual cameras)",
        port="listen on this port (default: the same as last time; at first, the first free one from 4450)",
    )
    add = add_command(
        actions,
        "add",
        execute_add,
        help="add a share of your own server",
        description="Add a share of your own server. This computer must have the same folder, as a mount or because it "
        "is the server.",
    )
    add.add_argument("name", metavar="NAME", help="the name to give the share")
    add.add_argument("--folder", type=Path, help="the share's folder on this computer")
    add.add_argument("--path", help="the share's name or path on the server (default: NAME)")
    _add_options(add, address="the server's address", port="the server's port (default: 445, NFS: 2049)")
    add.add_argument("--protocol", choices=("smb", "nfs"), help="SMB, which AXIS OS mounts, or NFS (default: smb)")
    attach = add_command(
        actions,
        "attach",
        execute_attach,
        help="mount a share on a camera",
        description="Mount a share on a camera, at /var/spool/storage/NetworkShare. A lost mount is mounted again.",
    )
    attach.add_argument("name", metavar="NAME", nargs="?", help="the share (default: the only one)")
    add_project_option(attach)
    add_device_option(attach)
    _add_api_options(attach)
    detach = add_command(actions, "detach", execute_detach, help="unmount the network share of a camera")
    add_project_option(detach)
    add_device_option(detach)
    _add_api_options(detach)
    add_command(actions, "list", execute_list, help="list the shares")
    remove = add_command(actions, "remove", execute_remove, help="remove a share from the list; its folder is kept")
    remove.add_argument("name", metavar="NAME", help="the share")


def _add_options(parser: argparse.ArgumentParser, *, address: str, port: str) -> None:
    parser.add_argument("--address", help=address)
    parser.add_argument("--port", type=int, help=port)
    parser.add_argument("--user", help="the name that cameras log in with")
    parser.add_argument("--password-file", metavar="FILE", type=Path, help="the password is the first line of FILE")


def _add_api_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--api", metavar="URL", help="use the camera's web API at http://CAMERA instead of SSH; this needs no root"
    )
    parser.add_argument(
        "--api-user", metavar="USER", default="root", help="an administrator of the camera (default: root)"
    )
    parser.add_argument(
        "--api-password-file",
        metavar="FILE",
        type=Path,
        help="the administrator's password is the first line of FILE (default: the variable INCAMERA_API_PASSWORD)",
    )


def execute_serve(arguments: argparse.Namespace, console: Console) -> int:
    import signal  # lazy: start-up
    import time

    from incamera.context import Context
    from incamera.share.registry import shares_folder
    from incamera.workflows.share import served

    context = Context.open(console)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # service managers send SIGTERM
    with served(context, arguments.name, _settings(arguments)) as (share, require_alive):
        try:  # from the first word on: who reads it may end the server at once
            if arguments.json:
                console.emit(_describe(share))
            else:
                password = f"{shares_folder(context) / share.name}.toml"
                console.paragraph(f'serving {share.folder} as {share.url}, user "{share.user}", password in {password}')
                console.info(f"to mount it: `incamera share attach {share.name} --device NAME`; Ctrl-C ends the server")
            while True:
                require_alive()
                time.sleep(0.5)
        except KeyboardInterrupt:
            console.info(f"{share.name} is no longer served")
    return 0


def execute_add(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.workflows.share import add_share

    share = add_share(Context.open(console), arguments.name, _settings(arguments))
    if arguments.json:
        console.emit(_describe(share))
    else:
        console.paragraph(f"{share.name}: {share.url} is {share.folder}")
    return 0


def execute_attach(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.project.loading import find_project
    from incamera.workflows.share import attach

    context = Context.open(console)
    if arguments.api:
        from incamera.workflows.share import attach_by_api, open_api  # lazy: start-up

        api = open_api(context, arguments.api, arguments.api_user, arguments.api_password_file)
        attached = attach_by_api(context, arguments.name, api, device=arguments.device)
    else:
        attached = attach(context, arguments.name, arguments.device, project=find_project(Path(arguments.project)))
    if arguments.json:
        console.emit(
            {
                "device": attached.device,
                "share": _describe(attached.share),
                "place": attached.place,
                "mounted_now": attached.fresh,
            }
        )
    else:
        how = "mounted" if attached.fresh else "already has"
        console.paragraph(f"{attached.device} {how} {attached.share.folder} at {attached.place}")
    return 0


def execute_detach(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.project.loading import find_project
    from incamera.workflows.share import detach

    context = Context.open(console)
    if arguments.api:
        from incamera.workflows.share import detach_by_api, open_api  # lazy: start-up

        api = open_api(context, arguments.api, arguments.api_user, arguments.api_password_file)
        device, source = arguments.device or arguments.api, detach_by_api(context, api, device=arguments.device)
    else:
        device, source = detach(context, arguments.device, project=find_project(Path(arguments.project)))
    if arguments.json:
        console.emit({"device": device, "unmounted": source})
    else:
        console.paragraph(f"{device} has unmounted {source}" if source else f"{device} has no network share mounted")
    return 0


def execute_list(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.workflows.share import list_shares

    shares = list_shares(Context.open(console))
    if arguments.json:
        console.emit({"shares": [{**_describe(share), "answers": answers} for share, answers in shares]})
    elif not shares:
        console.paragraph("no shares; serve a folder with `incamera share serve`")
    else:
        rows = [(s.name, s.url, str(s.folder), "yes" if answers else "no") for s, answers in shares]
        console.table(("SHARE", "ADDRESS", "FOLDER", "ANSWERS"), rows)
    return 0


def execute_remove(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.workflows.share import forget_share

    forget_share(Context.open(console), arguments.name)
    if arguments.json:
        console.emit({"removed": arguments.name})
    else:
        console.paragraph(f"removed {arguments.name}; its folder is kept")
    return 0


def _settings(arguments: argparse.Namespace) -> ShareSettings:
    from incamera.share.settings import ShareSettings  # lazy: start-up
    from incamera.share.values import Protocol

    protocol = getattr(arguments, "protocol", None)
    return ShareSettings(
        folder=arguments.folder,
        protocol=Protocol(protocol) if protocol else None,
        address=arguments.address,
        port=arguments.port,
        path=getattr(arguments, "path", None),
        user=arguments.user,
        password_file=arguments.password_file,
    )


def _describe(share: Share) -> dict[str, Any]:
    return {
        "name": share.name,
        "url": share.url,
        "folder": str(share.folder),
        "protocol": str(share.protocol),
        "address": share.address,
        "port": share.port,
        "user": share.user,
        "served": share.served,
    }
