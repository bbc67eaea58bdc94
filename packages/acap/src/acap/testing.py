"""For the tests of an app: a camera that shows known pictures, in pytest or anywhere else.

    @pytest.fixture
    def doorway():
        dark, bright = (np.full((180, 320), level, np.uint8) for level in (20, 200))
        with acap.testing.scene(dark, dark, bright) as scene:
            yield scene

    def test_light_is_seen(doorway):
        assert list(app.brightness()) == [20, 20, 200]

    def test_light_is_told():
        with acap.testing.events() as events, acap.testing.parameters(Threshold=100):
            app.step()
            assert events.sent[-1].data == {"bright": True}

    def test_person_is_counted():
        with acap.testing.messages() as messages:
            messages.send("com.axis.scene.frame.v1", {"detections": [{"class": "human"}]})
            app.step()
            assert messages.sent == [("acap.app.people", {"count": 1})]

A scene needs PyAV: `pip install 'acap[desk]'`. No camera takes part.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from . import events as _events
from . import messages as _messages
from . import params, video
from .errors import FormatError

__all__ = ["Events", "Messages", "Scene", "TestParameters", "events", "messages", "parameters", "scene"]


def scene(*pictures: Any, framerate: float = 30.0) -> Scene:
    """Return a camera that shows *pictures*, to be used in a `with` statement.

    A picture is an array of uint8, of shape (height, width) for the brightness as it is in `frame.y`, or (height,
    width, 3) for red, green and blue; or the path of a picture or a video, all of whose pictures are shown.

    Each stream gets all of them, each once and none left out, and its loop then ends. Nothing waits for the time to
    pass: *framerate* counts for the frames' times only. A picture of another size than the stream's is scaled.

    Raises FormatError for an array of another shape or kind, SourceFailed, LibraryMissing.
    """
    return Scene(pictures, framerate)


def events() -> Events:
    """Return a camera whose events are kept, to be used in a `with` statement.

    What the app sends is in `sent`. `Events.send` sends events of the camera to the app. Events that were declared
    before do not take part: make them in the block.
    """
    return Events()


def parameters(**values: str | float) -> TestParameters:
    """Return a camera where the app has the parameters *values*, to be used in a `with` statement.

    They are there until the end of the block, in memory. `TestParameters.change` changes one as a user does.
    """
    return TestParameters(values)


def messages() -> Messages:
    """Return a camera with a Data Hub, to be used in a `with` statement.

    What the app writes is in `sent`. `Messages.send` sends messages to the app. Subscriptions and topics that were made
    before do not take part: make them in the block.
    """
    return Messages()


class Events:
    """What `events` returns."""

    sent: list[_events.Event]
    """What the app has sent, the oldest first, with all its values."""

    def __init__(self) -> None:
        from .desk.events import Events as Desk

        self.sent = []
        self._desk = Desk(self._keep)

    def _keep(self, topic: str, data: dict[str, Any]) -> None:
        self.sent.append(_events.Event(topic, datetime.datetime.now(datetime.UTC), data))

    def send(self, topic: str, **values: bool | float | str) -> None:
        """Send a pulse of the camera, as send("tns1:Device/tnsaxis:IO/Port", port=1, state=True)."""
        self._publish(topic, values, None)

    def set_state(self, topic: str, **values: bool | float | str) -> None:
        """Change a state of the camera. Subscriptions that begin later get it, too."""
        self._publish(topic, values, topic)

    def _publish(self, topic: str, values: Mapping[str, Any], state_of: object | None) -> None:
        self._desk.publish(_events.test_keys(topic, values), state_of, told=False)

    def __enter__(self) -> Self:
        self._before, _events.replaced = _events.replaced, self._desk
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _events.replaced = self._before


class Messages:
    """What `messages` returns."""

    sent: list[tuple[str, Any]]
    """What the app has written, the oldest first: the topic and the data."""

    def __init__(self) -> None:
        from .desk.messages import Messages as Desk

        self.sent = []
        self._desk = Desk(lambda topic, data: self.sent.append((topic, data)))

    def send(self, topic: str, data: Mapping[str, Any]) -> None:
        """Send *data* to the app's subscriptions of *topic*."""
        import json

        self._desk.publish(topic, json.dumps(data).encode(), told=False)

    def __enter__(self) -> Self:
        self._before, _messages.replaced = _messages.replaced, self._desk
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _messages.replaced = self._before


class TestParameters:
    """What `parameters` returns."""

    __test__ = False  # for pytest

    def __init__(self, values: Mapping[str, str | float]) -> None:
        from .desk.parameters import Store

        self._store = Store({name: params.value_text(name, value) for name, value in values.items()})

    def change(self, name: str, value: str | float) -> None:
        """Set a parameter as a user of the camera does: the app is told."""
        self._store.put(name.encode(), params.value_text(name, value).encode(), True)

    def __enter__(self) -> Self:
        self._before, params.replaced = params.replaced, self._store
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        params.replaced = self._before


class Scene:
    """What `scene` returns."""

    def __init__(self, pictures: Sequence[Any], framerate: float) -> None:
        if not pictures:
            raise ValueError("a scene needs at least one picture")
        if not framerate > 0:
            raise ValueError(f"a frame rate must be positive, not {framerate}")
        self._pictures = [frame for picture in pictures for frame in _frames_of(picture)]
        self._framerate = framerate

    def __len__(self) -> int:
        """How many frames a stream gets."""
        return len(self._pictures)

    def __enter__(self) -> Self:
        from .desk.scene import SceneCamera

        self._before = video.replace_camera(SceneCamera(self._pictures, self._framerate))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        video.replace_camera(self._before)


def _frames_of(picture: Any) -> list[Any]:
    """Return PyAV's frames of one argument of `scene`."""
    from .desk.sources import pyav, read_all

    if isinstance(picture, (str, os.PathLike)):
        return read_all(os.fspath(picture))
    av = pyav()
    shape, kind = getattr(picture, "shape", None), str(getattr(picture, "dtype", ""))
    if shape is None or kind != "uint8":
        what = kind or type(picture).__name__
        raise FormatError(f"a picture must be an array of uint8 or a path, not {what}")
    if len(shape) == 3 and shape[2] == 3:
        return [av.VideoFrame.from_ndarray(picture, format="rgb24")]
    if len(shape) != 2:
        raise FormatError(f"a picture has the shape (height, width) or (height, width, 3), not {tuple(shape)}")
    return [_gray(av, picture)]


def _gray(av: Any, picture: Any) -> Any:
    """Return a frame with the brightness of *picture*, and no color."""
    height, width = picture.shape
    frame = av.VideoFrame(width, height, "nv12")
    rows = [bytes(picture[row]) for row in range(height)]
    color = b"\x80" * (width + width % 2)
    for plane, lines in zip(frame.planes, (rows, [color] * ((height + 1) // 2)), strict=True):
        plane.update(b"".join(line.ljust(plane.line_size, b"\0") for line in lines))
    return frame
