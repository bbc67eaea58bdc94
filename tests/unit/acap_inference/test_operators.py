"""The stand-in's interpreter gives what LiteRT's reference operators give, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import acap

from .reference import CASES, KEPT, SEEDS, digest, make

pytestmark = pytest.mark.usefixtures("inference")


@pytest.mark.parametrize(("name", "type"), CASES)
def test_operator_gives_what_litert_gives(name: str, type: str, tmp_path: Path) -> None:
    kept = json.loads(KEPT.read_text("utf-8"))[f"{name} {type}"]
    path = tmp_path / "model.tflite"
    for seed in SEEDS:
        network, inputs = make(name, type, seed)
        path.write_bytes(data := network.render())
        given, wanted = kept[seed]
        if given != digest(data, *inputs):
            pytest.skip("this numpy has other random numbers than the one that litert.json was made with")
        with acap.inference.Model(path, "cpu-tflite") as model:
            assert digest(*map(np.asarray, model.run(*inputs))) == wanted, f"seed {seed}"
