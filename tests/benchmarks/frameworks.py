"""The runtime against the frameworks themselves, with the same weights."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
from fairness import start_again_fairly, take_turns
from material import untrained_model
from numpy.typing import NDArray
from performance import remake, remember, spread, table, write_section

from ptychonyx.runtime.model.cores import num_cores
from ptychonyx.runtime.model.session import Model
from ptychonyx.training.network.architecture import Architecture
from ptychonyx.training.network.weights import draw_weights

BATCHES, TURNS, SCALE = (1, 4, 16, 64, 256), 5, 0.05
RUNTIME = "Ptychonyx runtime"
Predict = Callable[[NDArray[Any]], Any]


def section() -> str:
    results = {}
    variants: dict[str, Predict] = {}
    for batch in BATCHES:

        def run(batch: int = batch) -> dict[str, list[float]]:
            if not variants:
                variants.update(all_variants())
                check(variants)
            amplitude = amplitudes(batch)
            calls = {name: (lambda call=call: call(amplitude)) for name, call in variants.items()}
            seconds = take_turns(calls, num_turns=TURNS)
            return {
                name: [1e3 * each / batch for each in values] for name, values in seconds.items()
            }

        results[batch] = remember(__file__, str(batch), run)
    names = list(results[BATCHES[0]])
    rows = [[name, *(spread(results[batch][name]) for batch in BATCHES)] for name in names]
    ratios = []
    for batch in BATCHES:
        of = {name: statistics.median(results[batch][name]) for name in names}
        fastest = min((name for name in names if name != RUNTIME), key=of.__getitem__)
        ratios.append(f"{of[fastest] / of[RUNTIME]:.2f}× ({fastest})")
    return "\n".join(
        [
            "## Against the frameworks\n",
            remake(__file__),
            "Milliseconds a pattern, from scaled amplitudes to complex patches; `cnn`, F = 1, N = 64, "
            f"float32, the same weights, {num_cores()} threads. `torch.compile` and `tf.function` are "
            "compiled before, and PyTorch gets memory that it need not give back.\n",
            table(("batch", *BATCHES), [*rows, ["**the fastest of them takes**", *ratios]]),
            "The runtime does the same work in fewer operations: see the section before.\n",
        ]
    )


def amplitudes(batch: int) -> NDArray[Any]:
    rng = np.random.default_rng(0)
    return rng.exponential(10, (batch, 1, 64, 64)).astype(np.float32)


def all_variants() -> dict[str, Predict]:
    path = untrained_model("cnn-f1-n64", filters=1.0, window_px=64)
    model = Model(path, provider="cpu", predictions_at_once=1)
    runtime = {RUNTIME: lambda amplitude: model.predict(amplitude, SCALE)}
    architecture = Architecture(window_px=64)
    weights = draw_weights(architecture, np.random.default_rng(0))
    return runtime | pytorch(architecture, weights) | tensorflow(architecture, weights)


def pytorch(architecture: Architecture, weights: Any) -> dict[str, Predict]:
    import torch

    from ptychonyx.training.pytorch.network import apply_network, build_network, set_weights

    scale = torch.tensor([SCALE])

    def network(memory_format: torch.memory_format) -> Any:
        built: Any = build_network(architecture).eval()  # which knows memory formats
        set_weights(built, weights)
        return built.to(memory_format=memory_format)

    def predict(of: Any) -> Predict:
        def call(amplitude: NDArray[Any]) -> NDArray[Any]:
            with torch.inference_mode():
                return apply_network(of, torch.from_numpy(amplitude), scale).numpy()

        return call

    compiled: Any = torch.compile(network(torch.channels_last), dynamic=True)
    compiled.architecture = architecture
    return {
        "PyTorch eager": predict(network(torch.contiguous_format)),
        "PyTorch, channels last": predict(network(torch.channels_last)),
        "PyTorch, torch.compile": predict(compiled),
    }


def tensorflow(architecture: Architecture, weights: Any) -> dict[str, Predict]:
    import tensorflow as tf

    from ptychonyx.training.tensorflow.network import apply_network, build_network, set_weights

    network = build_network(architecture)
    set_weights(network, weights)
    network.compile()

    @tf.function(reduce_retracing=True)
    def graph(amplitude: tf.Tensor) -> tf.Tensor:
        return apply_network(network, amplitude, tf.constant([SCALE]))

    def complex_of(outputs: Any) -> NDArray[Any]:
        modulus, phase = outputs
        return np.asarray(modulus * np.exp(1j * phase))

    scale = np.float32(SCALE)
    return {
        "Keras predict": lambda x: complex_of(network.predict(x * scale, verbose=0)),
        "Keras predict_on_batch": lambda x: complex_of(network.predict_on_batch(x * scale)),
        "TensorFlow, tf.function": lambda x: graph(tf.constant(x)).numpy(),
    }


def check(variants: dict[str, Predict]) -> None:
    """See that all compute the same; the runtime gives the center."""
    amplitude = amplitudes(3)
    center = variants[RUNTIME](amplitude)
    for name, call in variants.items():
        patches = call(amplitude)
        if name != RUNTIME:
            patches = patches[..., 16:48, 16:48]
        np.testing.assert_allclose(patches, center, atol=1e-4, err_msg=name)


if __name__ == "__main__":
    start_again_fairly()
    write_section(__file__, section())
