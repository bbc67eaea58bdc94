"""Chips: which a camera can have, and that their devices are known."""

from __future__ import annotations

import pytest

from incamera.errors import UsageError
from incamera.targets.profile import require_profile
from incamera.virtual.chips import load_chips, load_larod, require_chip


def test_each_chip_has_known_devices_and_the_processor() -> None:
    devices = load_larod()["devices"]
    for chip in load_chips().values():
        assert set(chip.devices) <= set(devices), chip.name
        assert {"cpu-tflite", "cpu-proc"} <= set(chip.devices), chip.name
        # What the engine of inference has room for.
        assert len(chip.devices) <= 16
        assert all(len(name) < 48 for name in chip.devices)


def test_chip_of_another_architecture_is_refused() -> None:
    with pytest.raises(UsageError, match="a camera with artpec-8 is aarch64") as caught:
        require_chip("artpec-8", require_profile("axis-os-12-armv7hf"))
    assert "artpec-7" in str(caught.value.hint)
    assert require_chip("artpec-8", require_profile("axis-os-12-aarch64")).devices[1] == "axis-a8-dlpu-tflite"


def test_unknown_chip_is_refused_with_a_similar_name() -> None:
    with pytest.raises(UsageError, match='no chip "artpec8"') as caught:
        require_chip("artpec8", require_profile("axis-os-12-aarch64"))
    assert "artpec-8" in str(caught.value.hint)
