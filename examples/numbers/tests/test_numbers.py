"""Run these with `incamera test`, or on your own computer after `pip install .`."""

import math

import numbers_demo
import numpy as np
import pytest
from numbers_demo._series import fill


def test_series_sums_up_to_e_minus_one() -> None:
    assert numbers_demo.series(20).sum() == pytest.approx(math.e - 1, abs=1e-15)


def test_fill_writes_into_the_given_array() -> None:
    values = np.zeros(3)
    fill(values)
    assert values.tolist() == pytest.approx([1, 1 / 2, 1 / 6])


def test_fill_takes_an_empty_array() -> None:
    fill(np.empty(0))


def test_fill_refuses_other_types() -> None:
    with pytest.raises(ValueError, match="Buffer dtype mismatch"):
        fill(np.zeros(3, dtype=np.float32))


def test_main_prints_machine_covariance_and_sum(capsys: pytest.CaptureFixture[str]) -> None:
    numbers_demo.main()
    printed = capsys.readouterr().out
    assert "posix.uname_result" in printed
    assert "Covariance matrix" in printed
    assert "Their sum: 1.718279" in printed
