"""Runs in the camera: what people do with OpenCV, each with numbers that can be checked. Prints one JSON document."""

import json
import sys
import tempfile
import traceback
from pathlib import Path

import cv2
import numpy as np

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def scene():
    """A picture with corners and blobs everywhere, so that there is something to find."""
    random = np.random.default_rng(1)
    picture = np.full((240, 320, 3), 32, np.uint8)
    for _ in range(120):
        x, y, w, h = (int(value) for value in random.integers((0, 0, 6, 6), (310, 230, 40, 30)))
        cv2.rectangle(picture, (x, y), (x + w, y + h), random.integers(0, 255, 3).tolist(), -1)
    return picture


def difference(one, other):
    return float(cv2.absdiff(one, other).mean())


@check
def build():
    text = cv2.getBuildInformation()
    lines = [line.split(":", 1) for line in text.splitlines() if ":" in line]
    said = {name.strip(): value.strip() for name, value in lines}
    wanted = ("Baseline", "GUI", "Parallel framework", "Custom HAL")
    modules = ("calib3d", "dnn", "features2d", "flann", "imgcodecs", "imgproc", "objdetect", "video", "videoio")
    return {
        "version": cv2.__version__,
        "said": {name: said.get(name) for name in wanted},
        "modules": [name for name in modules if name in said["To be built"].split()],
    }


@check
def image_files():
    picture = cv2.GaussianBlur(scene(), (5, 5), 0)
    found = {}
    for ending, options in {
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
        ".png": [],
        ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101],  # lossless
        ".tiff": [],
        ".jp2": [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000],
        ".bmp": [],
    }.items():
        done, data = cv2.imencode(ending, picture, options)
        again = cv2.imdecode(data, cv2.IMREAD_COLOR)
        found[ending] = {"done": done, "bytes": len(data), "difference": difference(picture, again)}
    return found


@check
def geometry():
    picture = scene()
    half = cv2.resize(picture, (160, 120), interpolation=cv2.INTER_AREA)
    mean = picture.reshape(120, 2, 160, 2, 3).mean(axis=(1, 3))
    matrix = cv2.getPerspectiveTransform(
        np.float32([[0, 0], [320, 0], [320, 240], [0, 240]]), np.float32([[30, 10], [300, 0], [310, 230], [5, 235]])
    )
    there = cv2.warpPerspective(picture, matrix, (320, 240))
    back = cv2.warpPerspective(there, matrix, (320, 240), flags=cv2.WARP_INVERSE_MAP)
    inner = np.s_[40:200, 40:280]
    return {
        "resize": float(np.abs(half - mean).max()),
        "warp there": difference(picture[inner], there[inner]),
        "warp there and back": difference(picture[inner], back[inner]),
    }


@check
def features():
    picture = cv2.cvtColor(scene(), cv2.COLOR_BGR2GRAY)
    true = np.array([[0.96, -0.12, 20.0], [0.1, 0.97, -8.0], [1e-4, -5e-5, 1.0]])
    moved = cv2.warpPerspective(picture, true, (320, 240))
    orb = cv2.ORB_create(800)
    (points, first), (others, second) = orb.detectAndCompute(picture, None), orb.detectAndCompute(moved, None)
    matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(first, second)
    source = np.float32([points[match.queryIdx].pt for match in matches])
    destination = np.float32([others[match.trainIdx].pt for match in matches])
    matrix, inliers = cv2.findHomography(source, destination, cv2.RANSAC, 3.0)
    corners = np.float32([[[0, 0], [320, 0], [320, 240], [0, 240]]])
    error = cv2.perspectiveTransform(corners, matrix) - cv2.perspectiveTransform(corners, true)
    flann = cv2.FlannBasedMatcher({"algorithm": 6, "table_number": 6, "key_size": 12, "multi_probe_level": 1}, {})
    return {
        "matches": len(matches),
        "inliers": int(inliers.sum()),
        "corners off by pixels": float(np.abs(error).max()),
        "flann": len(flann.match(first, second)),
    }


@check
def motion():
    picture = cv2.cvtColor(scene(), cv2.COLOR_BGR2GRAY)
    moved = cv2.warpAffine(picture, np.float32([[1, 0, 3], [0, 1, 2]]), (320, 240))
    points = cv2.goodFeaturesToTrack(picture, 50, 0.05, 10)
    after, found, _ = cv2.calcOpticalFlowPyrLK(picture, moved, points, None)
    shift = np.median((after - points)[found.ravel() == 1], axis=0).ravel()
    background = cv2.createBackgroundSubtractorMOG2(history=20)
    empty = np.full((120, 160), 90, np.uint8)
    for _ in range(20):
        background.apply(empty)
    visitor = empty.copy()
    visitor[40:60, 50:70] = 230
    return {"shift": shift.tolist(), "foreground": int((background.apply(visitor) == 255).sum())}


@check
def video_files():
    frames = [cv2.putText(scene(), str(number), (20, 120), 0, 3, (255, 255, 255), 5) for number in range(12)]
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "film.avi"))
        writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 12.0, (320, 240))
        opened = writer.isOpened()
        for frame in frames:
            writer.write(frame)
        writer.release()
        reader = cv2.VideoCapture(path)
        read = []
        while (step := reader.read())[0]:
            read.append(step[1])
        rate = reader.get(cv2.CAP_PROP_FPS)
        size = Path(path).stat().st_size
    return {
        "opened": opened,
        "frames": len(read),
        "rate": rate,
        "bytes": size,
        "difference": max(difference(one, other) for one, other in zip(frames, read, strict=True)),
        "backends": [cv2.videoio_registry.getBackendName(backend) for backend in cv2.videoio_registry.getBackends()],
    }


def field(number, value):
    """A field of a protobuf message: a number, or bytes."""

    def varint(value):
        out = b""
        while value > 127:
            out, value = out + bytes([value & 127 | 128]), value >> 7
        return out + bytes([value])

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def onnx_model(kernel, shape):
    """An ONNX model by hand: a convolution, then ReLU."""

    def tensor_value(name):
        dimensions = b"".join(field(1, field(1, size)) for size in shape)
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, dimensions)))

    weights = b"".join(field(1, size) for size in (1, 1, *kernel.shape)) + field(2, 1) + field(8, "w")
    weights += field(9, kernel.astype("<f4").tobytes())
    pads = field(1, "pads") + b"".join(field(8, 1) for _ in range(4)) + field(20, 7)
    size = field(1, "kernel_shape") + b"".join(field(8, 3) for _ in range(2)) + field(20, 7)
    convolution = field(1, "x") + field(1, "w") + field(2, "c") + field(3, "conv") + field(4, "Conv")
    relu = field(1, "c") + field(2, "y") + field(3, "relu") + field(4, "Relu")
    graph = field(1, convolution + field(5, pads) + field(5, size)) + field(1, relu) + field(2, "graph")
    graph += field(5, weights) + field(11, tensor_value("x")) + field(12, tensor_value("y"))
    return field(1, 8) + field(8, field(2, 13)) + field(7, graph)


@check
def network():
    kernel = np.float32([[-1, -1, -1], [-1, 8.5, -1], [-1, -1, -1]])
    picture = cv2.cvtColor(scene(), cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
    net = cv2.dnn.readNetFromONNX(np.frombuffer(onnx_model(kernel, (1, 1, 240, 320)), np.uint8))
    net.setInput(cv2.dnn.blobFromImage(picture))
    result = net.forward()[0, 0]
    expected = np.maximum(cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_CONSTANT), 0)
    return {"off by": float(np.abs(result - expected).max()), "peak": float(expected.max())}


@check
def objects():
    code = cv2.QRCodeEncoder_create().encode("Python, in camera")
    code = cv2.resize(code, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)
    code = cv2.copyMakeBorder(code, *[40] * 4, 0, value=255)
    text, corners, _ = cv2.QRCodeDetector().detectAndDecode(code)
    board = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    marker = cv2.copyMakeBorder(cv2.aruco.generateImageMarker(board, 7, 120), *[40] * 4, 0, value=255)
    _, ids, _ = cv2.aruco.ArucoDetector(board).detectMarkers(marker)
    faces = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    return {
        "qr": text,
        "qr corners": 0 if corners is None else int(np.size(corners) // 2),
        "marker": None if ids is None else ids.ravel().tolist(),
        "cascade is loaded": not faces.empty(),
        "faces in nothing": len(faces.detectMultiScale(np.zeros((120, 160), np.uint8))),
    }


@check
def calibration():
    camera = np.array([[300.0, 0, 160], [0, 300, 120], [0, 0, 1]])
    points = np.float32([[x, y, (x * y) % 3] for x in range(5) for y in range(4)])
    turn, move = np.array([0.1, -0.2, 0.05]), np.array([-2.0, -1.5, 12.0])
    image, _ = cv2.projectPoints(points, turn, move, camera, None)
    _, found_turn, found_move = cv2.solvePnP(points, image, camera, None)
    error = max(np.abs(found_turn.ravel() - turn).max(), np.abs(found_move.ravel() - move).max())
    return {"pose off by": float(error)}


@check
def errors():
    """An error in C++ arrives as an exception, threads work, and windows say that there are none."""
    found = {"threads": cv2.getNumThreads()}
    try:
        cv2.resize(np.zeros((0, 0), np.uint8), (4, 4))
    except cv2.error as error:
        found["caught"] = error.func
    try:
        cv2.imshow("window", np.zeros((4, 4), np.uint8))
    except cv2.error as error:
        found["window"] = "not implemented" in str(error)
    return found


def main():
    results = {}
    for function in CHECKS:
        try:
            results[function.__name__] = function()
        except Exception:
            results[function.__name__] = {"failed": traceback.format_exc()}
    json.dump(results, sys.stdout)


main()
