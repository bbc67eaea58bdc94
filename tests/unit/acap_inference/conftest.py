"""`acap.inference` over the newest stand-in of the camera's libraries."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.acap_video.conftest import NEWEST, STAND_INS, built_module, fresh_settings, video

from .networks import example

__all__ = ["built_module", "fresh_settings", "video"]

Set = Callable[[str, object], None]


def inference_stand_in(version: str = NEWEST) -> Path:
    return STAND_INS / version / "liblarod.so.1"


@pytest.fixture(scope="session")
def inference(built_module: Path) -> None:
    """`acap.inference`, over the newest stand-in."""
    import acap

    ctypes.CDLL(str(inference_stand_in()))
    if str(built_module) not in acap.__path__:
        acap.__path__.append(str(built_module))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Set:
    """Asks the stand-in of the inference service for something: service("NO_POWER", 2)."""
    return lambda name, value: monkeypatch.setenv(f"INCAMERA_LAROD_{name}", str(value))


@pytest.fixture
def model_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes the example as a file: model_file("int8", size=32)."""

    def write(type: str = "uint8", **options: Any) -> Path:
        path = tmp_path / f"{type}.tflite"
        path.write_bytes(example(type, **options).render())
        return path

    return write
