"""Jobs that run while the program does something else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import acap

from .test_models import picture

if TYPE_CHECKING:
    from .conftest import Set

pytestmark = pytest.mark.usefixtures("video", "inference")
Write = Callable[..., Path]


def test_await_gives_what_run_gives(model_file: Write) -> None:
    async def use(model: Any) -> list[Any]:
        found = []
        async with acap.video.Stream(320, 240, framerate=100) as stream:
            async for frame in stream:
                outputs = await model.submit(frame, fit="crop")
                found.append((np.array(outputs[1]), np.array(model.run(frame, fit="crop")[1])))
                if len(found) == 5:
                    return found
        return found

    with acap.inference.Model(model_file()) as model:
        pairs = asyncio.run(use(model))
    for one, other in pairs:
        np.testing.assert_array_equal(one, other)


def test_event_loop_goes_on_while_a_job_runs(model_file: Write, service: Set) -> None:
    service("JOB_MS", 300)

    async def use(model: Any) -> int:
        turns = 0
        task = asyncio.ensure_future(wait(model.submit(picture())))
        while not task.done():
            turns += 1
            await asyncio.sleep(0.01)
        return turns

    async def wait(result: Any) -> Any:
        return await result

    with acap.inference.Model(model_file()) as model:
        assert asyncio.run(use(model)) > 2


def test_jobs_run_side_by_side(model_file: Write) -> None:
    async def use(model: Any) -> list[Any]:
        return await asyncio.gather(*(wait(model.submit(picture(seed=seed))) for seed in range(4)))

    async def wait(result: Any) -> Any:
        return np.array((await result)[1])

    with acap.inference.Model(model_file()) as model:
        found = asyncio.run(use(model))
        for seed, array in enumerate(found):
            np.testing.assert_array_equal(array, np.asarray(model.run(picture(seed=seed))[1]))


def test_too_many_jobs_are_refused(model_file: Write, service: Set) -> None:
    service("JOB_MS", 50)
    with acap.inference.Model(model_file()) as model:
        started: list[Any] = []
        with pytest.raises(BufferError, match="all 4 buffers") as caught:
            started.extend(model.submit(picture()) for _ in range(20))
        assert isinstance(caught.value, acap.TooManyJobs)
        for result in started:
            result.wait()
        started.clear()
        del result
        model.submit(picture()).wait()


def test_wait_ends_after_the_timeout(model_file: Write, service: Set) -> None:
    service("JOB_MS", 300)
    with acap.inference.Model(model_file()) as model:
        result = model.submit(picture())
        assert not result.done()
        with pytest.raises(TimeoutError, match="did not finish within"):
            result.wait(0.01)
        assert len(result.wait()) == 2
        assert result.done()


def test_job_that_is_forgotten_is_finished(model_file: Write, service: Set) -> None:
    service("JOB_MS", 20)
    with acap.inference.Model(model_file()) as model:
        for _ in range(3):
            model.submit(picture())
        model.run(picture())


def test_error_of_a_job_is_raised_to_who_waits(model_file: Write, service: Set) -> None:
    with acap.inference.Model(model_file()) as model:
        model.run(picture())
        service("DEVICES", "cpu-tflite")
        with acap.video.Stream(320, 240, framerate=100) as stream:
            frame = next(stream)

        async def use() -> Any:
            return await model.submit(frame, crop=(1000, 0, 10, 10))

        with pytest.raises(acap.WrongShape):
            asyncio.run(use())
