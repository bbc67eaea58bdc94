"""Networks with random numbers, and the small example that the virtual cameras run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .tflite_writer import (
    ADD,
    AVERAGE_POOL_2D,
    CONCATENATION,
    CONV_2D,
    DEPTHWISE_CONV_2D,
    FULLY_CONNECTED,
    LOGISTIC,
    MAX_POOL_2D,
    MUL,
    NO_ACTIVATION,
    RELU,
    RELU6,
    RELU_N1_TO_1,
    RESHAPE,
    SAME,
    SOFTMAX,
    VALID,
    Network,
    Scalar,
    Vector,
)  # fmt: skip

Random = np.random.Generator


def _limits(type: str) -> tuple[int, int]:
    return (-128, 127) if type == "int8" else (0, 255)


def _quantized(random: Random, type: str) -> dict[str, Any]:
    least, most = _limits(type)
    scale = float(np.float32(random.uniform(0.01, 0.1)))
    return {"type": type, "scale": scale, "zero": int(random.integers(least, most + 1))}


def _weights(
    network: Network, random: Random, type: str, shape: tuple[int, ...], channels: int, axis: int
) -> tuple[int, int]:
    """Add weights and a bias; int8 has a scale for each channel."""
    least, most = _limits(type)
    data = random.integers(least, most + 1, shape)
    if type == "int8":
        scales = [float(np.float32(number)) for number in random.uniform(0.002, 0.02, channels)]
        weights = network.tensor(*shape, type=type, scale=scales, axis=axis, data=data)
    else:
        weights = network.tensor(*shape, data=data, **_quantized(random, type))
    # TensorFlow Lite wants the bias to have the scale of what is added up.
    source, own = network.tensors[0].scale, network.tensors[weights].scale
    each = own if isinstance(own, list) else [own]
    scale = [float(np.float32(source) * np.float32(number)) for number in each]
    bias = network.tensor(channels, type="int32", scale=scale, data=random.integers(-3000, 3000, channels))
    return weights, bias


def _size(size: int, filter: int, stride: int, dilation: int, padding: int) -> int:
    covered = (filter - 1) * dilation + 1
    return (size + stride - 1) // stride if padding == SAME else (size + stride - covered) // stride


def convolution(random: Random, type: str, *, depthwise: bool = False) -> Network:
    network = Network()
    height, width, depth = (int(number) for number in random.integers(5, 14, 3))
    filter_h, filter_w = (int(number) for number in random.integers(1, 5, 2))
    stride = int(random.integers(1, 4))
    dilation = int(random.integers(1, 3)) if stride == 1 else 1
    padding = int(random.integers(0, 2))
    if padding == VALID:
        height, width = height + 8, width + 8
    channels = depth * int(random.integers(1, 3)) if depthwise else int(random.integers(1, 9))
    source = network.tensor(1, height, width, depth, name="picture", **_quantized(random, type))
    shape = (1, filter_h, filter_w, channels) if depthwise else (channels, filter_h, filter_w, depth)
    weights, bias = _weights(network, random, type, shape, channels, 3 if depthwise else 0)
    out_h = _size(height, filter_h, stride, dilation, padding)
    out_w = _size(width, filter_w, stride, dilation, padding)
    result = network.tensor(1, out_h, out_w, channels, name="features", **_quantized(random, type))
    activation = int(random.choice([NO_ACTIVATION, RELU, RELU6, RELU_N1_TO_1]))
    options = {0: Scalar("b", padding), 1: Scalar("i", stride), 2: Scalar("i", stride)}
    if depthwise:
        options |= {3: Scalar("i", channels // depth)}
    first = 4 if depthwise else 3
    options |= {first: Scalar("b", activation), first + 1: Scalar("i", dilation), first + 2: Scalar("i", dilation)}
    network.operator(DEPTHWISE_CONV_2D if depthwise else CONV_2D, [source, weights, bias], result, options)
    network.inputs, network.outputs = [source], [result]
    return network


def depthwise(random: Random, type: str) -> Network:
    return convolution(random, type, depthwise=True)


def _pool(random: Random, type: str, code: int) -> Network:
    network = Network()
    height, width, depth = (int(number) for number in random.integers(6, 14, 3))
    filter_h, filter_w = (int(number) for number in random.integers(1, 5, 2))
    stride, padding = int(random.integers(1, 3)), int(random.integers(0, 2))
    scale = _quantized(random, type)
    source = network.tensor(1, height, width, depth, **scale)
    shape = (_size(height, filter_h, stride, 1, padding), _size(width, filter_w, stride, 1, padding))
    result = network.tensor(1, *shape, depth, **scale)
    activation = int(random.choice([NO_ACTIVATION, RELU, RELU6]))
    network.operator(code, [source], result, {
        0: Scalar("b", padding), 1: Scalar("i", stride), 2: Scalar("i", stride), 3: Scalar("i", filter_w),
        4: Scalar("i", filter_h), 5: Scalar("b", activation),
    })  # fmt: skip
    network.inputs, network.outputs = [source], [result]
    return network


def max_pool(random: Random, type: str) -> Network:
    return _pool(random, type, MAX_POOL_2D)


def average_pool(random: Random, type: str) -> Network:
    return _pool(random, type, AVERAGE_POOL_2D)


def fully_connected(random: Random, type: str) -> Network:
    network = Network()
    depth, channels, rows = (int(number) for number in random.integers(1, 40, 3))
    source = network.tensor(rows, depth, **_quantized(random, type))
    least, most = _limits(type)
    weights = network.tensor(channels, depth, **_quantized(random, type) | ({"zero": 0} if type == "int8" else {}))
    network.tensors[weights].data = random.integers(least, most + 1, (channels, depth))
    scale = float(np.float32(network.tensors[source].scale) * np.float32(network.tensors[weights].scale))
    bias = network.tensor(channels, type="int32", scale=scale, data=random.integers(-3000, 3000, channels))
    result = network.tensor(rows, channels, **_quantized(random, type))
    network.operator(FULLY_CONNECTED, [source, weights, bias], result, {0: Scalar("b", int(random.choice([0, 1, 3])))})
    network.inputs, network.outputs = [source], [result]
    return network


def _probabilities(type: str) -> dict[str, Any]:
    return {"type": type, "scale": 1 / 256, "zero": -128 if type == "int8" else 0}


def softmax(random: Random, type: str) -> Network:
    network = Network()
    rows, depth = (int(number) for number in random.integers(2, 40, 2))
    source = network.tensor(rows, depth, **_quantized(random, type))
    result = network.tensor(rows, depth, **_probabilities(type))
    network.operator(SOFTMAX, [source], result, {0: Scalar("f", float(random.choice([1.0, 0.5, 2.0])))})
    network.inputs, network.outputs = [source], [result]
    return network


def logistic(random: Random, type: str) -> Network:
    network = Network()
    source = network.tensor(1, 256, **_quantized(random, type))
    result = network.tensor(1, 256, **_probabilities(type))
    network.operator(LOGISTIC, [source], result)
    network.inputs, network.outputs = [source], [result]
    return network


def add(random: Random, type: str) -> Network:
    network = Network()
    shape = tuple(int(number) for number in random.integers(2, 9, 4))
    one, other = (network.tensor(*shape, **_quantized(random, type)) for _ in range(2))
    result = network.tensor(*shape, **_quantized(random, type))
    network.operator(ADD, [one, other], result, {0: Scalar("b", int(random.choice([0, 1, 3])))})
    network.inputs, network.outputs = [one, other], [result]
    return network


def concatenation(random: Random, type: str) -> Network:
    network = Network()
    scale = _quantized(random, type)
    one, other = network.tensor(1, 3, 4, 5, **scale), network.tensor(1, 3, 2, 5, **scale)
    result = network.tensor(1, 3, 6, 5, **scale)
    network.operator(CONCATENATION, [one, other], result, {0: Scalar("i", -2)})
    network.inputs, network.outputs = [one, other], [result]
    return network


def reshape(random: Random, type: str) -> Network:
    network = Network()
    scale = _quantized(random, type)
    source, result = network.tensor(1, 4, 6, 2, **scale), network.tensor(1, 48, **scale)
    shape = network.tensor(2, type="int32", data=[1, 48])
    network.operator(RESHAPE, [source, shape], result, {0: Vector("i", [1, 48])})
    network.inputs, network.outputs = [source], [result]
    return network


OPERATORS: dict[str, Callable[[Random, str], Network]] = {
    "convolution": convolution, "depthwise": depthwise, "max_pool": max_pool, "average_pool": average_pool,
    "fully_connected": fully_connected, "softmax": softmax, "logistic": logistic, "add": add,
    "concatenation": concatenation, "reshape": reshape,
}  # fmt: skip


def example(type: str = "uint8", size: int = 32) -> Network:
    """Return a network of *size* x *size* colour pictures with two outputs: four probabilities, and a map of 0 to 1.

    Its weights are random but always the same.
    """
    random = np.random.default_rng(13)
    zero = -128 if type == "int8" else 0
    network = Network()
    picture = network.tensor(1, size, size, 3, type=type, scale=1 / 255, zero=zero, name="picture")

    def weigh(code: int, source: int, channels: int, filter: int, stride: int) -> int:
        depth, height = network.tensors[source].shape[3], network.tensors[source].shape[1]
        single = code == DEPTHWISE_CONV_2D
        shape = (1, filter, filter, channels) if single else (channels, filter, filter, depth)
        count = filter * filter * (1 if single else depth)
        data = random.normal(0, 1, shape)
        scale = float(np.abs(data).max() / 127)
        middle = 0 if type == "int8" else 128
        weights = network.tensor(
            *shape, type=type, scale=scale, zero=middle, axis=3 if single else 0,
            data=np.clip(np.round(data / scale) + middle, *_limits(type)),
        )  # fmt: skip
        sums = float(np.float32(network.tensors[source].scale) * np.float32(scale))
        bias = network.tensor(channels, type="int32", scale=sums, data=random.integers(-500, 500, channels))
        reach = float(np.sqrt(count)) * 1.5
        side = (height + stride - 1) // stride
        result = network.tensor(1, side, side, channels, type=type, scale=reach / 255, zero=zero)
        first = 4 if single else 3
        options = {0: Scalar("b", SAME), 1: Scalar("i", stride), 2: Scalar("i", stride), first: Scalar("b", RELU)}
        if single:
            options |= {3: Scalar("i", 1)}
        return network.operator(code, [source, weights, bias], result, options)

    features = weigh(CONV_2D, picture, 8, 3, 2)
    features = weigh(DEPTHWISE_CONV_2D, features, 8, 3, 1)
    features = weigh(CONV_2D, features, 16, 1, 1)
    side = size // 4
    values = network.tensors[features]
    pooled = network.tensor(1, side, side, 16, type=type, scale=values.scale, zero=values.zero)
    window = {0: Scalar("b", VALID), 1: Scalar("i", 2), 2: Scalar("i", 2), 3: Scalar("i", 2), 4: Scalar("i", 2)}
    network.operator(MAX_POOL_2D, [features], pooled, window)
    heat = weigh(CONV_2D, pooled, 1, 1, 1)
    network.tensors[heat].zero = 0 if type == "int8" else 128
    network.operators[-1][3].pop(3)
    heat_map = network.tensor(1, side, side, 1, name="map", **_probabilities(type))
    network.operator(LOGISTIC, [heat], heat_map)
    mean = network.tensor(1, 1, 1, 16, type=type, scale=values.scale, zero=values.zero)
    window = {0: Scalar("b", VALID)} | {number: Scalar("i", side) for number in (1, 2, 3, 4)}
    network.operator(AVERAGE_POOL_2D, [pooled], mean, window)
    flat = network.tensor(1, 16, type=type, scale=values.scale, zero=values.zero)
    network.operator(RESHAPE, [mean], flat, {0: Vector("i", [1, 16])})
    middle = 0 if type == "int8" else 128
    least, most = _limits(type)
    weights = network.tensor(4, 16, type=type, scale=0.01, zero=middle, data=random.integers(least, most + 1, (4, 16)))
    sums = float(np.float32(values.scale) * np.float32(0.01))
    bias = network.tensor(4, type="int32", scale=sums, data=random.integers(-500, 500, 4))
    scores = network.tensor(1, 4, type=type, scale=0.05, zero=middle)
    network.operator(FULLY_CONNECTED, [flat, weights, bias], scores, {})
    probabilities = network.tensor(1, 4, name="scores", **_probabilities(type))
    network.operator(SOFTMAX, [scores], probabilities, {0: Scalar("f", 1.0)})
    network.inputs, network.outputs = [picture], [probabilities, heat_map]
    return network


def real(size: int = 16) -> Network:
    """Return a network of float32, with an operator that the interpreter lacks: for LiteRT. Its weights do not change.

    Two inputs, of which the second is multiplied with the first's features, and two outputs in another order than they
    are computed.
    """
    random = np.random.default_rng(5)
    network = Network()
    picture = network.tensor(1, size, size, 3, type="float32", name="picture")
    gains = network.tensor(1, 1, 1, 4, type="float32", name="gains")
    weights = network.tensor(4, 3, 3, 3, type="float32", data=random.normal(0, 1, (4, 3, 3, 3)))
    bias = network.tensor(4, type="float32", data=random.normal(0, 1, 4))
    features = network.tensor(1, size, size, 4, type="float32", name="features")
    window = {0: Scalar("b", SAME), 1: Scalar("i", 1), 2: Scalar("i", 1), 3: Scalar("b", RELU)}
    network.operator(CONV_2D, [picture, weights, bias], features, window)
    scaled = network.tensor(1, size, size, 4, type="float32", name="scaled")
    network.operator(MUL, [features, gains], scaled, {})
    network.inputs, network.outputs = [gains, picture], [scaled, features]
    return network
