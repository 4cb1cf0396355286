"""A product appears while the work goes on, and passes over the scan count as one."""

from __future__ import annotations

import numpy as np
import pytest

from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.reconstruction.options import ReconstructionOptions
from ptychonyx.runtime.reconstruction.reconstruct import reconstruct, reconstruct_in_steps
from ptychonyx.runtime.scan import Scan

pytest.importorskip("onnx", reason="model files are built with the onnx package")
pytest.importorskip("onnxruntime", reason="models run on onnxruntime")


@pytest.mark.parametrize(("num_steps", "expected"), [(1, [50]), (3, [20, 40, 50]), (99, None)])
def test_steps_grow_evenly_to_the_whole_product(
    scan: Scan, model: Model, num_steps: int, expected: list[int] | None
) -> None:
    products = list(
        reconstruct_in_steps(scan, model, ReconstructionOptions(batch_size=10), num_steps=num_steps)
    )
    used = [product.num_patterns_used for product in products]
    assert used == (expected or [10, 20, 30, 40, 50])
    assert [product.complete for product in products] == [False] * (len(used) - 1) + [True]
    whole = reconstruct(scan, model, ReconstructionOptions(batch_size=7))
    np.testing.assert_allclose(products[-1].object_, whole.object_, atol=1e-6)
    if len(products) > 1:
        first = products[0].coverage
        assert first is not None
        assert whole.coverage is not None
        assert np.count_nonzero(first > 0) < np.count_nonzero(whole.coverage > 0)


def test_a_closed_generator_computes_no_more(scan: Scan, model: Model) -> None:
    done = []
    steps = reconstruct_in_steps(
        scan,
        model,
        ReconstructionOptions(batch_size=10),
        num_steps=5,
        progress=lambda num, _: done.append(num),
    )
    next(steps)
    steps.close()
    assert done == [10]


def test_progress_of_two_passes_counts_patterns_once(scan: Scan, model: Model) -> None:
    done = []
    reconstruct(
        scan,
        model,
        ReconstructionOptions(batch_size=25, align_phase=True),
        progress=lambda *pair: done.append(pair),
    )
    assert done == [(12, 50), (25, 50), (37, 50), (50, 50)]


def test_stopping_in_the_first_of_two_passes_ends_both(scan: Scan, model: Model) -> None:
    product = reconstruct(
        scan,
        model,
        ReconstructionOptions(batch_size=10, align_phase=True),
        should_stop=lambda: True,
    )
    assert (product.complete, product.num_patterns_used) == (False, 10)
