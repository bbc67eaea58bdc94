"""Clients that others have written, unchanged: the library `axis`, and curl with the documentation's lines."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from axis.device import AxisDevice
from axis.models.configuration import Configuration
from axis.models.pwdgrp_cgi import SecondaryGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from axis.interfaces.vapix import Vapix

    from .conftest import Served

POLICY = "root.Network.HTTP.AuthenticationPolicy"


def ask(served: Served, port: int, work: Callable[[Vapix], Coroutine[Any, Any, None]]) -> None:
    """Do *work* with the library, logged in as root over the transport of *port*."""

    async def main() -> None:
        async with httpx.AsyncClient(verify=False) as session:
            own, scheme = served.ports[port], "https" if port == 443 else "http"
            await work(
                AxisDevice(
                    Configuration(session, "127.0.0.1", username="root", password="pass", port=own, web_proto=scheme)
                ).vapix
            )

    asyncio.run(main())


@pytest.fixture(params=[80, 443])
def port(request: pytest.FixtureRequest, served: Served) -> int:
    """The library knows Digest alone: over HTTPS, a camera has to be told to take that."""
    served.set_parameters({POLICY: "basic_digest" if request.param == 443 else "recommended"})
    return int(request.param)


def test_library_reads_what_a_camera_is(served: Served, port: int) -> None:
    facts = served.camera.facts

    async def work(vapix: Vapix) -> None:
        await vapix.initialize()
        assert (vapix.serial_number, vapix.firmware_version) == (facts.serial, facts.version)
        assert (vapix.product_number, vapix.product_type) == ("VIRTUAL", "Network Camera")
        assert "basic-device-info" in vapix.api_discovery
        await vapix.initialize_param_cgi()
        assert vapix.params.property_handler["0"].system_serial_number == facts.serial
        assert [image.name for image in vapix.params.image_handler.values()] == ["View Area 1"]

    ask(served, port, work)


def test_library_manages_accounts(served: Served, port: int) -> None:
    async def work(vapix: Vapix) -> None:
        await vapix.initialize_users()
        await vapix.users.create("alice", pwd="Secret123", sgrp=SecondaryGroup.VIEWER)
        await vapix.users.update()
        assert {name: vapix.users[name].admin for name in vapix.users} == {"root": True, "guest": False, "alice": False}
        await vapix.users.delete("alice")
        assert set(served.camera.kept.accounts) == {"root", "guest"}

    ask(served, port, work)


def test_library_lists_apps(served: Served, port: int, tmp_path: Path) -> None:
    async def work(vapix: Vapix) -> None:
        await vapix.initialize()
        assert set(vapix.applications) == {"own_app"}
        assert vapix.applications["own_app"].status == "Stopped"

    served.install_package(tmp_path)
    ask(served, port, work)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (
            ["--digest", "http://{address}/axis-cgi/param.cgi?action=list&group=root.Brand.Brand"],
            "root.Brand.Brand=AXIS\n",
        ),
        (["--anyauth", "https://{address}/axis-cgi/usergroup.cgi"], "root\nadmin operator viewer ptz\n"),
        (["--digest", "http://{address}/axis-cgi/usergroup.cgi"], "root\nadmin operator viewer ptz\n"),
        (["--digest", "http://{address}/axis-cgi/applications/control.cgi?action=stop&package=no"], "Error: 4"),
    ],
)
def test_curl_with_the_documentations_lines(served: Served, words: list[str], answer: str) -> None:
    url = words[-1].format(address=f"127.0.0.1:{served.ports[443 if words[-1].startswith('https') else 80]}")
    done = subprocess.run(
        ["curl", "--silent", "--insecure", "--user", "root:pass", *words[:-1], url],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == answer
