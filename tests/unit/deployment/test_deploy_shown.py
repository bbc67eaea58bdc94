"""A deploy tells what it does: what is sent, and what the camera does afterwards."""

from __future__ import annotations

import pytest

from incamera import console_steps
from incamera.console_steps import ConsoleStep
from incamera.deployment.apply import _Shown
from incamera.guard.upload import Stage
from incamera.targets.form import Form


@pytest.mark.parametrize(
    ("form", "last", "done"),
    [
        (Form.archive, "unpacking in the camera", "unpacked"),
        (Form.squashfs, "activating in the camera", "activated"),
        (Form.tree, "activating in the camera", "activated"),
    ],
)
def test_each_part_of_a_deploy_is_told_with_its_time(
    form: Form, last: str, done: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_steps, "_LEAST_SECONDS", 0.0)
    step = ConsoleStep("deploy", None)
    with _Shown(step, form) as shown:
        for sent, text in ((0, "0 B"), (128_000_000, "128.0 MB"), (384_000_000, "384.0 MB")):
            shown.on_progress(sent, 384_000_000)
            assert step.describe().startswith(f"sending, {text} of 384.0 MB")
        shown.on_stage(Stage.checking)
        assert step.describe().startswith("checking in the camera")
        shown.on_stage(Stage.activating)
        assert step.describe().startswith(last)
    assert [part.partition(" in ")[0] for part in step.summary.split(", ")] == ["sent", "checked", done]
