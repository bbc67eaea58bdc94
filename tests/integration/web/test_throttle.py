"""Too many wrong passwords, behind Apache: our client says what has happened, and when to try again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from incamera.axis_os.throttle import GROUP
from incamera.errors import DeviceError, DeviceRefused
from incamera.vapix.applications import list_applications
from incamera.vapix.device_info import read_system_ready
from incamera.vapix.params import read_params, set_params
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Served

PERIOD = 2
DEFAULTS = {
    "DoSPageCount": "20", "DoSPageInterval": "1", "DoSSiteCount": "20", "DoSSiteInterval": "1",
    "DoSBlockingPeriod": "10", "ActivatePasswordThrottling": "On",
}  # fmt: skip


def limits(**values: int | str) -> dict[str, str]:
    return {f"{GROUP}.{name}": str(value) for name, value in (DEFAULTS | values).items()}


@pytest.fixture(autouse=True)
def set_limits(served: Served) -> Iterator[None]:
    served.camera.set_parameters(limits(DoSPageCount=3, DoSPageInterval=60, DoSBlockingPeriod=PERIOD))
    yield
    served.camera.set_parameters(limits())
    wait_until(lambda: not is_blocked(served), "nobody is blocked")


def is_blocked(served: Served, port: int = 443) -> bool:
    try:
        read_system_ready(served.client(port))
    except DeviceRefused:
        return True
    return False


def give_wrong_passwords(served: Served, times: int, *, port: int = 443) -> None:
    for _ in range(times):
        with pytest.raises(DeviceRefused, match="does not accept the password"):
            list_applications(served.client(port, password="wrong"))


@pytest.mark.parametrize("port", [443, 80])
def test_third_wrong_password_blocks_this_computer_for_the_period(served: Served, port: int) -> None:
    give_wrong_passwords(served, 2, port=port)
    assert list_applications(served.client(port)) == list_applications(served.client(port))
    give_wrong_passwords(served, 1, port=port)
    began = time.monotonic()
    wait_until(lambda: is_blocked(served), "the third was one too many")
    for client in (served.client(443), served.client(80)):
        with pytest.raises(DeviceRefused, match="refuses all requests of this computer for a while") as caught:
            read_params(client, "Brand.Brand")
        assert caught.value.hint == (
            "wait 10 s (the camera's DoSBlockingPeriod can be another), and try again with the right password"
        )
    assert any("is blocked for 2 s" in line for line in served.camera.log.lines())
    wait_until(lambda: not is_blocked(served), "the period is over")
    assert time.monotonic() - began > PERIOD - 0.5
    assert read_params(served.client(port), "Brand.Brand") == {"Brand.Brand": "AXIS"}


def test_wrong_passwords_for_other_pages_count_for_the_site(served: Served) -> None:
    served.camera.set_parameters(limits(DoSSiteCount=3, DoSSiteInterval=60, DoSBlockingPeriod=PERIOD))
    give_wrong_passwords(served, 2)
    with pytest.raises(DeviceRefused):
        read_params(served.client(password="wrong"), "Brand.Brand")
    wait_until(lambda: is_blocked(served), "the third was one too many")


def test_requests_without_a_login_and_those_of_apps_are_no_failures(served: Served) -> None:
    for _ in range(6):
        assert b" 401 " in served.send_encrypted(b"GET /axis-cgi/param.cgi HTTP/1.0\r\n\r\n").splitlines()[0]
        head = b"GET /axis-cgi/param.cgi HTTP/1.0\r\nAuthorization: Basic YTpi\r\n\r\n"
        assert b" 401 " in served.send_as_app(head).splitlines()[0]
    give_wrong_passwords(served, 1)
    assert not is_blocked(served)


def test_switched_off_it_blocks_nobody(served: Served) -> None:
    served.camera.set_parameters(limits(ActivatePasswordThrottling="Off", DoSPageCount=2, DoSPageInterval=60))
    give_wrong_passwords(served, 4)
    assert not is_blocked(served)


@pytest.mark.parametrize(
    ("name", "value"),
    [("DoSPageCount", "0"), ("DoSSiteInterval", "x"), ("DoSBlockingPeriod", "-1"), ("ActivatePasswordThrottling", "2")],
)
def test_limit_that_is_none_is_refused(served: Served, name: str, value: str) -> None:
    with pytest.raises(DeviceError, match="cannot set"):
        set_params(served.client(), {f"System.PreventDoSAttack.{name}": value})
