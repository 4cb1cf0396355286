"""A scan is described from one reading of its patterns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.describe import describe_product, describe_scan
from ptychonyx.runtime.plausibility import look_at
from ptychonyx.runtime.product import Product
from ptychonyx.runtime.scan import Scan


class ReadOnce:
    """Patterns that may be read once only."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array, self.shape, self.dtype = array, array.shape, array.dtype
        self._was_read = np.zeros(len(array), np.bool_)

    def __getitem__(self, key: slice | NDArray[np.int64]) -> NDArray[Any]:
        assert not self._was_read[key].any(), "a pattern was read twice"
        self._was_read[key] = True
        return self._array[key]


def test_a_description_reads_each_pattern_once_and_names_dose_and_scale() -> None:
    corners_px = 4 * np.indices((3, 3)).reshape(2, -1).T.astype(np.float64)
    patterns = ReadOnce(np.full((9, 16, 16), 4, np.uint16))
    probe = np.full((1, 16, 16), 2, np.complex64)
    rows = describe_scan(Scan(patterns, "counts", corners_px, probe=probe))
    assert rows["dose"] == "1024 counts per pattern"
    assert rows["input scale"] == "0.25"
    assert rows["overlap"] == "median step 4.00 px, linear overlap 75 %"
    assert rows["probe"].endswith("power / counts = 1")
    assert rows["missing"].startswith("object, pixel size")


def test_looking_at_a_scan_and_describing_it_read_each_pattern_once(small_scan: Scan) -> None:
    scan = replace(small_scan, patterns=ReadOnce(np.array(small_scan.patterns)))
    rows = describe_scan(scan, look_at(scan))
    assert rows["dose"] == describe_scan(small_scan)["dose"]
    assert "patterns used" not in rows


def test_a_product_is_described_with_what_it_says_and_no_more() -> None:
    window = np.ones((1, 8, 8), np.complex64)
    object_ = np.ones((9, 12), np.complex64)
    bare = Product(object_, (0, 0), np.zeros((1, 2)), np.arange(1), 8, window)
    assert set(describe_product(bare)) == {"object", "probe", "complete"}
    coverage = np.zeros((9, 12), np.int32)
    coverage[:3] = 1
    metadata: dict[str, str | float | int | bool] = {
        "method": "network and passes",
        "model_name": "small",
        "passes": 8,
        "stopped": "the passes asked for are done",
        "residual": 0.0123,
        "network_residual": 0.5,
    }
    solved = replace(bare, coverage=coverage, complete=False, metadata=metadata)
    rows = describe_product(solved)
    assert (rows["method"], rows["model"], rows["passes"]) == ("network and passes", "small", "8")
    assert rows["stopped"] == "the passes asked for are done"
    assert rows["residual"].startswith("1.23 %")
    assert rows["network's residual"].startswith("50.00 %")
    assert rows["object"] == "9×12, 33 % covered"
    assert rows["complete"].startswith("no")
