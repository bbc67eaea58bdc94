"""`device clean`: why something of ours stays in a camera."""

from collections.abc import Mapping

import pytest

from incamera.workflows.clean import Item, Left, _reason

IN_USE = {"bell": "runs", "chime": "waits for the next run"}


@pytest.mark.parametrize(
    ("kind", "app", "in_use", "data", "reason"),
    [
        (Left.bundles, "bell", IN_USE, False, "runs"),
        (Left.bundles, "chime", IN_USE, False, "waits for the next run"),
        (Left.work, "chime", IN_USE, True, "waits for the next run"),
        (Left.bundles, "lamp", IN_USE, False, ""),
        (Left.data, "lamp", IN_USE, False, "data: --data removes it"),
        (Left.data, "lamp", IN_USE, True, ""),
        (Left.data, "bell", IN_USE, True, "runs"),
        (Left.programs, "", IN_USE, False, "something runs"),
        (Left.programs, "", {}, False, ""),
    ],
)
def test_item_stays_for_a_reason(kind: Left, app: str, in_use: Mapping[str, str], data: bool, reason: str) -> None:
    item = Item(kind=kind, app=app, place="/tmp", path="/tmp/incamera/x", size=1, changed=0)
    assert _reason(item, in_use, data) == reason
