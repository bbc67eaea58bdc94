"""Where the password of a camera comes from, and that it goes nowhere else."""

from __future__ import annotations

import shlex
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.vapix.conftest import LOGIN, digest_of, make_client

from incamera.connect.passwords import PasswordSource
from incamera.context import Context, SilentReporter
from incamera.errors import ConfigError, DeviceRefused, UsageError
from incamera.store import Store
from incamera.vapix.address import WebAddress, WebDevice
from incamera.vapix.client import Client
from incamera.vapix.device_info import read_device_info
from incamera.workflows.web_devices import add_web_device

if TYPE_CHECKING:
    from tests.unit.vapix.fake_camera import FakeCamera

PASSWORD = LOGIN.password


class Asked(SilentReporter):
    """Answers questions from lists, and keeps what was shown."""

    def __init__(self, secrets: list[str | None] | None = None, *, confirms: bool = True) -> None:
        self.secrets = secrets or []
        self.confirms = confirms
        self.questions: list[str] = []
        self.warnings: list[str] = []

    def confirm(self, question: str) -> bool:
        self.questions.append(question)
        return self.confirms

    def ask_secret(self, question: str) -> str | None:
        self.questions.append(question)
        return self.secrets.pop(0) if self.secrets else None

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def make_context(tmp_path: Path, reporter: Asked) -> Context:
    return Context(Store(tmp_path / "store"), reporter, {})


def ask(camera: FakeCamera, certificate: Path, context: Context, command: str = "") -> str:
    """Log in to *camera* with the passwords of *context*. Returns the product."""
    known = make_client(camera, certificate).device
    device = WebDevice(name="gate", address=_with_command(known.address, command))
    client = Client(device, PasswordSource(context, device))
    try:
        return read_device_info(client).number
    finally:
        client.close()


def _with_command(address: WebAddress, command: str) -> WebAddress:
    return WebAddress.from_table({**address.to_table(), "password_command": command})


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A keyring in the place of the optional library. Returns its passwords by their names."""
    kept: dict[str, str] = {}
    module: Any = types.ModuleType("keyring")
    backends: Any = types.ModuleType("keyring.backends")
    fail: Any = types.ModuleType("keyring.backends.fail")
    fail.Keyring = type("Keyring", (), {})
    backends.fail = fail
    module.backends = backends
    module.get_keyring = object
    module.get_password = lambda service, name: kept.get(f"{service} {name}")
    module.set_password = lambda service, name, password: kept.update({f"{service} {name}": password})
    module.delete_password = lambda service, name: kept.pop(f"{service} {name}")
    for name, value in (("keyring", module), ("keyring.backends", backends), ("keyring.backends.fail", fail)):
        monkeypatch.setitem(sys.modules, name, value)
    return kept


@pytest.fixture
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)


@pytest.mark.usefixtures("no_keyring")
def test_password_is_asked_for_three_times_at_most(camera: FakeCamera, certificate: Path, tmp_path: Path) -> None:
    reporter = Asked(["wrong", PASSWORD])
    assert ask(camera, certificate, make_context(tmp_path, reporter)) == "P3245-LVE"
    assert reporter.questions == ["password of root on gate:"] * 2
    reporter = Asked(["wrong"] * 9)
    with pytest.raises(DeviceRefused, match="does not accept the password"):
        ask(camera, certificate, make_context(tmp_path, reporter))
    assert len(reporter.questions) == 3


@pytest.mark.usefixtures("no_keyring")
def test_unknown_password_names_the_remedy(camera: FakeCamera, certificate: Path, tmp_path: Path) -> None:
    with pytest.raises(DeviceRefused, match="nobody can be asked") as error:
        ask(camera, certificate, make_context(tmp_path, Asked()))
    assert "--password-command" in str(error.value.hint)


def test_typed_password_is_offered_to_the_keyring_and_found_there(
    camera: FakeCamera, certificate: Path, tmp_path: Path, keyring: dict[str, str]
) -> None:
    reporter = Asked([PASSWORD])
    ask(camera, certificate, make_context(tmp_path, reporter))
    assert reporter.questions[-1] == "keep the password of gate in your keyring?"
    assert keyring == {f"incamera {camera.url.replace('//', '//root@')}": PASSWORD}
    reporter = Asked()
    assert ask(camera, certificate, make_context(tmp_path, reporter)) == "P3245-LVE"
    assert reporter.questions == []


def test_wrong_password_in_the_keyring_is_asked_for_again_and_not_kept_without_consent(
    camera: FakeCamera, certificate: Path, tmp_path: Path, keyring: dict[str, str]
) -> None:
    keyring[f"incamera {camera.url.replace('//', '//root@')}"] = "old"
    ask(camera, certificate, make_context(tmp_path, Asked([PASSWORD], confirms=False)))
    assert list(keyring.values()) == ["old"]


def test_keyring_that_fails_is_a_warning(
    camera: FakeCamera, certificate: Path, tmp_path: Path, keyring: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*words: str) -> None:
        raise RuntimeError(f"locked: {PASSWORD}")

    for name in ("get_password", "set_password"):
        monkeypatch.setattr(sys.modules["keyring"], name, fail)
    reporter = Asked([PASSWORD])
    assert ask(camera, certificate, make_context(tmp_path, reporter)) == "P3245-LVE"
    assert len(reporter.warnings) == 2
    assert not any(PASSWORD in text for text in reporter.warnings)


@pytest.mark.starts_processes
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (f"print({PASSWORD!r})", None),
        (f"print({PASSWORD!r}); print('more')", None),
        (f"import sys; print({PASSWORD!r}); sys.exit(3)", "exit code 3"),
        ("pass", "is empty"),
        ("print('a\\x1bb')", "control characters"),
        ("print('x' * 1000)", "too long"),
    ],
)
def test_password_command(code: str, error: str | None, camera: FakeCamera, certificate: Path, tmp_path: Path) -> None:
    command = shlex.join([sys.executable, "-X", "utf8", "-c", code])
    context = make_context(tmp_path, Asked())
    if error is None:
        assert ask(camera, certificate, context, command) == "P3245-LVE"
        return
    with pytest.raises(ConfigError, match=error) as found:
        ask(camera, certificate, context, command)
    # Not even what it printed before it failed.
    assert PASSWORD not in f"{found.value} {found.value.hint} {getattr(found.value, 'tail', '')}"
    assert found.value.__cause__ is None


@pytest.mark.usefixtures("no_keyring")
def test_certificate_is_shown_and_pinned_on_first_use(camera: FakeCamera, certificate: Path, tmp_path: Path) -> None:
    reporter = Asked([PASSWORD])
    device, info = add_web_device(make_context(tmp_path, reporter), "gate", camera.url)
    assert (device.address.certificate, info.number) == (digest_of(certificate), "P3245-LVE")
    assert "signed by itself" in reporter.questions[0]
    with pytest.raises(DeviceRefused, match="is not known here"):
        add_web_device(make_context(tmp_path, Asked(confirms=False)), "yard", camera.url)


FACTORY_NEW = (
    b'{"apiVersion": "1.5", "method": "systemready", "data": {"systemready": "yes", "needsetup": "yes", '
    b'"uptime": "117", "bootid": "x", "previewmode": "7200", "passphrasepolicy": "length"}}'
)


@pytest.mark.usefixtures("no_keyring")
@pytest.mark.parametrize("reads_forms", [True, False])
def test_factory_new_camera_gets_its_first_account(camera: FakeCamera, reads_forms: bool, tmp_path: Path) -> None:
    camera.users, camera.ready, camera.reads_forms = {}, FACTORY_NEW, reads_forms
    long, other = "a long pass phrase", "another long phrase"
    reporter = Asked(["short", long, other, long, long])
    add_web_device(make_context(tmp_path, reporter), "gate", camera.url)
    assert camera.users == {"root": long}
    assert "at least 15" in reporter.warnings[0]
    assert reporter.warnings[1] == "the two are not the same"
    assert reads_forms is not any(long.replace(" ", "%20") in request for request in camera.requests)


@pytest.mark.usefixtures("no_keyring")
def test_first_account_is_made_over_https_alone(plain_camera: FakeCamera, tmp_path: Path) -> None:
    plain_camera.users, plain_camera.ready = {}, FACTORY_NEW
    reporter = Asked(["a long pass phrase"] * 2)
    with pytest.raises(UsageError, match="could be read on the way"):
        add_web_device(make_context(tmp_path, reporter), "gate", plain_camera.url)
    assert plain_camera.users == {}
    assert "not encrypted" in reporter.warnings[0]


@pytest.mark.usefixtures("no_keyring")
def test_first_account_of_some_cameras_must_be_root(camera: FakeCamera, tmp_path: Path) -> None:
    camera.users, camera.ready = {}, FACTORY_NEW
    reporter = Asked(["a long pass phrase"] * 2)
    with pytest.raises(UsageError, match="must be called root"):
        add_web_device(make_context(tmp_path, reporter), "gate", camera.url.replace("//", "//joe@"))
