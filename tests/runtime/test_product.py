"""A product says what contradicts itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from format_files import make_product

BAD_PRODUCTS: dict[str, tuple[dict[str, Any], str]] = {
    "layers": ({"object_": np.ones((1, 40, 61), np.complex64)}, "`object_` has shape"),
    "corners": ({"corners_px": np.zeros((6, 2))}, r"`corners_px` has shape \(6, 2\), expected \(7"),
    "probe": ({"probe": np.ones((1, 8, 8), np.complex64)}, r"`probe` has shape \(1, 8, 8\)"),
    "flat probe": ({"probe": np.ones((16, 16), np.complex64)}, "modes first"),
    "coverage": ({"coverage": np.ones((3, 3), np.int32)}, r"`coverage` has shape \(3, 3\)"),
    "rings": ({"ring_correlation": np.ones((2, 9))}, r"expected \(3, 9\): frequencies"),
    "disagreement": ({"disagreement": np.ones((3, 3), np.float32)}, "`disagreement` has shape"),
}


@pytest.mark.parametrize(("changes", "message"), BAD_PRODUCTS.values(), ids=BAD_PRODUCTS)
def test_a_product_that_contradicts_itself_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_product(**changes)
