"""What an exporter spells out or leaves away makes no difference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="graphs are built with the onnx package")

from onnx import helper, numpy_helper

from ptychonyx.export.graph.plain import plain


def network(*, is_wordy: bool) -> Any:
    """Return a convolution, a halving and two doublings, as one exporter or the other writes them."""
    said: dict[str, Any] = (
        {"auto_pad": "NOTSET", "dilations": [1, 1], "strides": [1, 1]} if is_wordy else {}
    )
    pooled: dict[str, Any] = (
        {"ceil_mode": 0, "pads": [0, 0, 0, 0], "storage_order": 0} if is_wordy else {}
    )
    resized: dict[str, Any] = (
        {"antialias": 0, "cubic_coeff_a": -0.75, "mode": "nearest"} if is_wordy else {}
    )
    region = "nowhere" if is_wordy else ""
    again = "again" if is_wordy else "scales"
    nodes = [
        helper.make_node(
            "Conv", ["features", "kernel"], ["a"], pads=[1, 1, 1, 1], kernel_shape=[3, 3], **said
        ),
        helper.make_node("MaxPool", ["a"], ["b"], kernel_shape=[2, 2], strides=[2, 2], **pooled),
        helper.make_node("Resize", ["b", region, "scales"], ["c"], nearest_mode="floor", **resized),
        helper.make_node("Resize", ["c", region, again], ["d"], nearest_mode="floor", **resized),
    ]
    constants = {
        "kernel": np.ones((1, 1, 3, 3), np.float32),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "again": np.array([1, 1, 2, 2], np.float32),
        "nowhere": np.zeros(0, np.float32),
    }
    initializer = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    return helper.make_graph(nodes, "network", [], [], initializer=initializer)


def test_both_ways_to_write_a_network_become_one() -> None:
    wordy, short = (plain(network(is_wordy=each), 18) for each in (True, False))
    assert [*wordy.node] == [*short.node]


def test_what_matters_stays() -> None:
    conv, pool, *resizes = plain(network(is_wordy=True), 18).node
    assert {each.name for each in conv.attribute} == {"pads", "kernel_shape"}
    assert {each.name for each in pool.attribute} == {"strides", "kernel_shape"}
    for each in resizes:
        assert [*each.input][1:] == ["", "scales"]
        assert {attribute.name for attribute in each.attribute} == {"nearest_mode"}
