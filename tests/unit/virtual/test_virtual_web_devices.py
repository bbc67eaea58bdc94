"""Virtual cameras by their web servers: which commands reach which of them, without starting one."""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING

import pytest
from tests.unit.virtual.test_virtual_camera import RECORD, make_folder

from incamera.connect.choose import choose_device, choose_web_device, is_web_alone
from incamera.connect.passwords import PasswordSource
from incamera.context import Context, SilentReporter
from incamera.errors import ConfigError, UsageError
from incamera.targets.profile import require_profile
from incamera.virtual.web_server import web_packages
from incamera.workflows.devices import list_devices

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from incamera.store import Store

WEB = {"https_port": 4443, "http_port": 4480, "certificate": "ab" * 32}


@pytest.fixture
def context(store: Store, tmp_path: Path) -> Context:
    return Context(store, SilentReporter(), {"HOME": str(tmp_path)})


@pytest.fixture
def running(store: Store) -> Iterator[None]:
    """Three cameras run: with SSH alone, with both, and with a web server alone."""
    kinds = {"plain": {}, "both": WEB, "gate": {**WEB, "ssh_user": ""}}
    locks = []
    for name, changes in kinds.items():
        folder = make_folder(store, name)
        (folder / "password").write_text("secret\n")
        record = {**RECORD, "name": name, "password": str(folder / "password") if changes else None, **changes}
        (folder / "camera.json").write_text(json.dumps(record))
        locks.append(os.open(folder / "lock", os.O_RDWR))
        fcntl.flock(locks[-1], fcntl.LOCK_EX)
    yield
    for lock in locks:
        os.close(lock)


@pytest.mark.usefixtures("running")
def test_camera_is_reached_through_the_servers_that_it_has(context: Context) -> None:
    for name in ("both", "gate"):
        device = choose_web_device(context, name)
        assert (device.address.url, device.address.certificate) == ("https://127.0.0.1:4443", WEB["certificate"])
        login = PasswordSource(context, device).first()
        assert (login.user, login.password) == ("root", "secret")
    assert choose_device(context, "both").name == "both"
    with pytest.raises(UsageError, match="plain runs without a web server") as caught:
        choose_web_device(context, "plain")
    assert "incamera virtual start axis-os-10-armv7hf --web" in str(caught.value.hint)
    with pytest.raises(UsageError, match="gate is a virtual camera of an AXIS OS that has no root") as caught:
        choose_device(context, "gate")
    assert "incamera install --device gate" in str(caught.value.hint)
    assert [is_web_alone(context, name) for name in ("plain", "both", "gate")] == [False, False, True]
    shown = [(device.name, device.address.route) for device, virtual in list_devices(context) if virtual]
    assert sorted(shown) == [("both", "ssh"), ("both", "web"), ("gate", "web"), ("plain", "ssh")]


@pytest.mark.usefixtures("running")
def test_password_of_a_camera_that_has_ended_is_a_clear_error(context: Context, store: Store) -> None:
    device = choose_web_device(context, "gate")
    (store.root / "virtual/gate/password").unlink()
    with pytest.raises(ConfigError, match="cannot read the virtual camera's password"):
        PasswordSource(context, device).first()


def test_profile_that_does_not_run_is_not_started_for_a_question(context: Context) -> None:
    with pytest.raises(UsageError, match="axis-os-11-armv7hf is not running") as caught:
        choose_web_device(context, "axis-os-11-armv7hf")
    assert "incamera virtual start axis-os-11-armv7hf --web" in str(caught.value.hint)


def test_profile_without_known_answers_has_no_web_server() -> None:
    with pytest.raises(UsageError, match="AXIS OS 10 have no web server"):
        web_packages(require_profile("axis-os-10-armv7hf"))
    assert web_packages(require_profile("axis-os-12-aarch64")).architecture == "arm64"
