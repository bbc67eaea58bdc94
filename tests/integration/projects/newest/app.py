"""Uses what cameras have since AXIS OS 12, and answers each request with what came of it."""

import base64
import ctypes
import http.server
import json
import time

import acap

SQUARE = "mdb.com.axis.analytics_scene_description.v0.beta"


def encode(data):
    return base64.b64encode(memoryview(data).tobytes()).decode()


def fitted_frames():
    """Frames of a stream that has another shape than the sensor."""
    for fit in ("crop", "scale"):
        with acap.video.Stream(320, 240, fit=fit, framerate=10) as stream:
            yield fit, stream.given.fit, encode(stream.fresh().y)


def picture_with_overlay():
    """A picture over which a green rectangle lies."""
    with acap.video.Stream(320, 240, "jpeg", framerate=10) as stream, acap.overlay.Overlay(64, 32) as overlay:
        overlay.draw(memoryview(bytes((0, 255, 0, 255)) * (64 * 32)).cast("B", (32, 64, 4)))
        while not overlay.streams:
            stream.fresh()
        for _ in range(5):
            picture = encode(stream.fresh())
        return picture


def messages():
    """What comes of the scene, and of a topic of the app's own."""
    with acap.messages.subscribe(SQUARE, timeout=60) as squares:
        [square] = next(squares).data["frame"]["observations"]
    with acap.messages.Topic("people") as people:
        people.announce()
        readers = [people.has_readers]
        with acap.messages.subscribe(people.name, timeout=60) as own:
            while not people.has_readers:
                time.sleep(0.05)
            people.write({"count": 3})
            data = next(own).data
        while people.has_readers:
            time.sleep(0.05)
        readers += [True, people.has_readers]
        return acap.messages.service(), square["bounding_box"], people.name, acap.messages.topics(), data, readers


def broker():
    """How many seconds ago a message was sent, by the clock of the older service, which the Data Hub goes before."""
    from acap import _mdb

    _mdb.open_library()
    subscription = _mdb.Subscription([SQUARE.removeprefix("mdb.").encode()], b"1", False, 10)
    while not (messages := subscription.take()):
        time.sleep(0.05)
    subscription.close()
    _, _, _, stamp, _ = messages[0]
    return (time.time() - stamp,)


def shared_by_users():
    """What apps share that run as users of their own: events, parameters, the SD card."""
    with acap.events.State("Door", open=False) as door:
        for event in acap.events.subscribe(door.topic, "open", timeout=60):
            if event.data["open"]:
                break
            door.open = True
    acap.parameters["Interval"] = "7"
    with acap.storage.Storage("SD_DISK", timeout=30) as storage:
        (storage.path / "file").write_text("1")
        return event.data, acap.parameters["Interval"], (storage.path / "file").read_text()


def names_of_the_video_library():
    """Where a function is, by the two names of its library."""
    libraries = [ctypes.CDLL(name) for name in ("libvdo.so.1", "libvdostream.so.1")]
    return tuple(ctypes.cast(library.vdo_map_new, ctypes.c_void_p).value for library in libraries)


def attempt(function):
    """What *function* returns, or what it raises."""
    try:
        found = function()
        return {"good": found if isinstance(found, str | tuple) else list(found)}
    except acap.Error as error:
        return {type(error).__name__: str(error)}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        wanted = {
            "broker": broker,
            "frames": fitted_frames,
            "names": names_of_the_video_library,
            "overlay": picture_with_overlay,
            "shared": shared_by_users,
            "messages": messages,
        }
        function = wanted.get(self.path.rpartition("/")[2])
        body = json.dumps(attempt(function) if function else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = http.server.HTTPServer(("127.0.0.1", 2001), Handler)
server.serve_forever()
