"""`incamera sdk add|list|remove`"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import add_command

if TYPE_CHECKING:
    from incamera.build.vendor_sdk import VendorSdk
    from incamera.console import Console


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "sdk",
        help="the vendor's SDK, to build modules against",
        description="The vendor's SDK, to build modules against. Most need none: incamera has headers of its own.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True, parser_class=type(parser))
    add = add_command(
        actions,
        "add",
        execute_add,
        help="put the SDK of an image into the store",
        description="Put the SDK of an image into the store: its sysroot, and the flags for the compiler. Nothing in "
        "the image is run, and Docker is not needed.",
    )
    add.add_argument(
        "name", metavar="IMAGE", help="the image, as in axisecp/acap-native-sdk:12.11.0-armv7hf-ubuntu24.04"
    )
    add.add_argument(
        "--from",
        dest="source",
        metavar="SOURCE",
        help="where the image is: `docker`, `podman`, a file that `docker save` has written, or a folder in OCI's "
        "layout (default: its registry)",
    )
    add_command(actions, "list", execute_list, help="list the SDKs in the store")
    remove = add_command(actions, "remove", execute_remove, help="remove an SDK from the store")
    remove.add_argument("name", metavar="IMAGE", help="the image")


def execute_add(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.workflows.sdk import add_sdk

    sdk = add_sdk(Context.open(console), arguments.name, arguments.source)
    if arguments.json:
        console.emit(_describe(sdk))
    else:
        console.paragraph(f'{sdk.name} is in the store. To build with it: sdk = "{sdk.name}" in [tool.incamera]')
    return 0


def _describe(sdk: VendorSdk) -> dict[str, Any]:
    return {
        "name": sdk.name,
        "digest": sdk.digest,
        "architecture": sdk.architecture.value,
        "sysroot": str(sdk.sysroot),
        "flags": list(sdk.flags),
    }


def execute_list(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.build.vendor_sdk import list_sdks  # lazy: start-up
    from incamera.context import Context

    sdks = list_sdks(Context.open(console).store)
    if arguments.json:
        known = [{**_describe(sdk), "source": record["source"]} for sdk, record in sdks if sdk is not None]
        console.emit({"sdks": known, "cleaned": [record["name"] for sdk, record in sdks if sdk is None]})
    elif sdks:
        console.table(
            ("IMAGE", "ARCHITECTURE", "FROM"),
            [
                (record["name"], sdk.architecture if sdk is not None else "cleaned: add it again", record["source"])
                for sdk, record in sdks
            ],
        )
    else:
        console.paragraph("no SDK; `incamera sdk add IMAGE` adds one. Without one, builds get incamera's own headers")
    return 0


def execute_remove(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.workflows.sdk import remove_sdk

    name = remove_sdk(Context.open(console), arguments.name)
    if arguments.json:
        console.emit({"removed": name})
    else:
        console.paragraph(f"removed {name}")
    return 0
