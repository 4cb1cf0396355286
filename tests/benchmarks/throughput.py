"""Training throughput against a plain hand-written loop of the same framework.

Network, loss, optimiser and batches are the same: `cnn`, F = 1, N = 64, batch 16, float32. The two
take turns; medians of five.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from performance import ROOT, remake, remember, spread, table, write_section

from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan
from ptychonyx.training import TrainingConfig, train
from ptychonyx.training.data.prepare import prepare_samples
from ptychonyx.training.network.architecture import HEADS, Architecture
from ptychonyx.training.network.layers import Convolution, Layer, MaxPool, Upsample, convolutions
from ptychonyx.training.run import open_run

RECORD = ROOT / "docs" / "measurements" / "quality" / "throughput.json"
NUM_RUNS, NUM_PATTERNS, BATCH = 5, 192, 16
SPEC = SimulationOptions(num_patterns=NUM_PATTERNS, step_px=5)

Epoch = Callable[[], None]


def order() -> Iterator[NDArray[np.int64]]:
    shuffled = np.random.default_rng(0).permutation(NUM_PATTERNS)
    return (shuffled[start : start + BATCH] for start in range(0, NUM_PATTERNS, BATCH))


def plain_pytorch(amplitude: NDArray[np.float32], probe: NDArray[np.complex64]) -> Epoch:
    import torch
    from torch import nn

    def sequence(layers: Iterable[Layer]) -> Any:  # which knows memory formats
        made: list[nn.Module] = []
        for layer in layers:
            if isinstance(layer, Convolution):
                made += [nn.Conv2d(layer.num_in, layer.num_out, 3, padding=1), nn.ReLU()]
            elif isinstance(layer, MaxPool):
                made.append(nn.MaxPool2d(2))
            elif isinstance(layer, Upsample):
                made.append(nn.Upsample(scale_factor=2.0))
        return nn.Sequential(*made)

    architecture = Architecture()
    trunk = sequence(architecture.trunk).to(memory_format=torch.channels_last)
    heads = [
        sequence(architecture.head(name))[:-1].to(memory_format=torch.channels_last)
        for name in HEADS
    ]
    parameters = [*trunk.parameters(), *(p for head in heads for p in head.parameters())]
    assert len(parameters) == 2 * sum(
        len(list(convolutions(part)))
        for part in (architecture.trunk, *map(architecture.head, HEADS))
    )
    optimizer = torch.optim.Adam(parameters)
    measured, beam = torch.from_numpy(amplitude), torch.from_numpy(probe)

    def epoch() -> None:
        for indexes in order():
            x = measured[indexes][:, None]
            features = trunk(x * 0.05)
            modulus, phase = (
                2 * torch.sigmoid(heads[0](features)),
                3.1416 * torch.tanh(heads[1](features)),
            )
            object_ = torch.complex(modulus * torch.cos(phase), modulus * torch.sin(phase))
            far = torch.fft.fft2(beam * object_, norm="ortho")
            rate = torch.fft.fftshift((far.real**2 + far.imag**2).sum(1), dim=(-2, -1)) + 1e-6
            loss = (rate - x[:, 0] ** 2 * torch.log(rate)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            float(loss)

    return epoch


def plain_tensorflow(amplitude: NDArray[np.float32], probe: NDArray[np.complex64]) -> Epoch:
    import keras
    import tensorflow as tf

    def sequence(layers: Iterable[Layer], x: Any) -> Any:
        for layer in layers:
            if isinstance(layer, Convolution):
                is_head = layer.num_out == 1
                x = keras.layers.Conv2D(
                    layer.num_out, 3, padding="same", activation=None if is_head else "relu"
                )(x)
            elif isinstance(layer, MaxPool):
                x = keras.layers.MaxPool2D(2)(x)
            elif isinstance(layer, Upsample):
                x = keras.layers.UpSampling2D(2)(x)
        return x

    architecture = Architecture()
    entry = keras.Input((64, 64, 1))
    features = sequence(architecture.trunk, entry)
    network = keras.Model(entry, [sequence(architecture.head(name), features) for name in HEADS])
    optimizer = keras.optimizers.Adam()
    measured, beam = tf.constant(amplitude), tf.constant(probe)

    @tf.function(reduce_retracing=True)
    def step(indexes: tf.Tensor) -> tf.Tensor:
        x = tf.gather(measured, indexes)
        with tf.GradientTape() as tape:
            outputs = network(x[..., None] * 0.05)
            modulus, phase = (
                2 * tf.sigmoid(outputs[0][..., 0]),
                3.1416 * tf.tanh(outputs[1][..., 0]),
            )
            object_ = tf.complex(modulus * tf.cos(phase), modulus * tf.sin(phase))
            far = tf.signal.fft2d(beam * object_[:, None])
            power = tf.reduce_sum(tf.math.real(far) ** 2 + tf.math.imag(far) ** 2, 1) / 4096
            rate = tf.signal.fftshift(power, axes=(-2, -1)) + 1e-6
            loss = tf.reduce_mean(rate - x**2 * tf.math.log(rate))
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def epoch() -> None:
        for indexes in order():
            float(step(tf.constant(indexes)))

    return epoch


PLAIN = {"tensorflow": plain_tensorflow, "pytorch": plain_pytorch}


def rates(backend: str) -> dict[str, list[float]]:
    """Return samples/s of both, turn by turn."""
    scan = simulate_scan(SPEC, np.random.default_rng(0))
    samples = prepare_samples([scan], validation_fraction=0)
    assert isinstance(samples.amplitude, np.ndarray)  # small enough for memory
    epoch = PLAIN[backend](samples.amplitude, samples.constants.probe)
    epoch()  # traced, warmed up
    ours, plain = [], []
    for run in range(NUM_RUNS):
        started = time.perf_counter()
        epoch()
        epoch()
        plain.append(2 * NUM_PATTERNS / (time.perf_counter() - started))
        with tempfile.TemporaryDirectory() as folder:
            config = TrainingConfig(
                backend=backend,
                architecture="cnn",
                batch_size=BATCH,
                epochs=3,
                validation_fraction=0,
                seed=run,
            )
            train([scan], config, Path(folder) / "run")
            rows = open_run(Path(folder) / "run").history()[-2:]  # the first one is traced
            seconds = sum(float(row["seconds"]) for row in rows)
            ours.append(2 * NUM_PATTERNS / seconds)
    return {"ours": ours, "plain": plain}


def measure() -> None:
    """Measure what a cut-off run has not, and keep it as the record that pages are made of."""
    record = {}
    for backend in PLAIN:
        found = remember(__file__, backend, partial(rates, backend))
        ratios = [one / other for one, other in zip(found["ours"], found["plain"], strict=True)]
        record[backend] = {
            name: [min(values), statistics.median(values), max(values)]
            for name, values in (*found.items(), ("ratio", ratios))
        }
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


def section() -> str:
    """Return the section of the record: smallest, median and largest of each figure."""
    record: dict[str, dict[str, list[float]]] = json.loads(RECORD.read_text())
    rows = [
        (backend, spread(of["ours"], 1), spread(of["plain"], 1), spread(of["ratio"], 3))
        for backend, of in record.items()
    ]
    header = ("backend", "`ptychonyx train`, samples/s", "plain loop, samples/s", "ratio")
    return (
        f"## Training\n\n{remake(__file__)}\nAgainst a plain hand-written loop of the same framework: "
        "same network (`cnn`, F = 1, N = 64), loss, optimiser and batches of 16, float32.\n\n"
        f"{table(header, rows)}"
    )


if __name__ == "__main__":
    measure()
    write_section(__file__, section())
