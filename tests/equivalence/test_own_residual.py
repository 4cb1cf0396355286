"""Equal weights have the same residual on the same data, whichever backend measures it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from equivalence.cases import BACKENDS, config_of, network_of

from ptychonyx.runtime.scan import Scan
from ptychonyx.training.data.samples import Samples
from ptychonyx.training.network.weights import Weights, save_weights
from ptychonyx.training.own_residual import measure_own_residual
from ptychonyx.training.run import Run

pytestmark = [pytest.mark.tensorflow, pytest.mark.pytorch]


@pytest.mark.parametrize("case", ["cnn poisson", "cnn C=4 poisson", "unet"])
def test_both_backends_measure_the_same(
    case: str,
    scans: list[Scan],
    samples_of: Callable[[str], Samples],
    weights_of: Callable[[str, str], Weights],
    tmp_path: Path,
) -> None:
    found: list[tuple[float, float]] = []
    for name in BACKENDS:
        run = Run(tmp_path / name, config_of(case, backend=name))
        run.path.mkdir()
        save_weights(weights_of(case, "drawn"), run.weights_file)
        own = measure_own_residual(run, scans, samples_of(case), network_of(case))
        assert own is not None
        found.append((own.training, own.training_noise))
    assert found[0] == pytest.approx(found[1], rel=2e-4)
    assert found[0][0] > found[0][1]
