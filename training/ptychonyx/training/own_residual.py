"""What a trained network leaves unexplained of its own data; one code for both backends.

Products of the exported model are held against it: a residual far above tells of a scan that is not
of the kind the network has learned.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.comparison.region import spread_indexes
from ptychonyx.runtime.errors import NotFiniteError, ScanError
from ptychonyx.runtime.model.manifest.own_residual import FIELD, OwnResidual
from ptychonyx.runtime.reconstruction.options import ReconstructionOptions
from ptychonyx.runtime.reconstruction.trial import patterns_around, try_network
from ptychonyx.runtime.residual import Residual
from ptychonyx.runtime.scan import Scan

from .backends import load_backend
from .config.config import TrainingConfig
from .data.samples import Samples
from .network.architecture import Architecture
from .run import Run

OWN_RESIDUAL = FIELD
"""Key of provenance.json."""
NUM_SCANS = 4
NUM_USED, NUM_TESTED = 256, 64
"""Of at most so many scans: patterns that an object is made of, and on which it is tested. With their
training and validation patterns apart, that makes at most 2,048 predictions."""
DIGITS = 4
"""Significant ones that are kept: both backends agree to more."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Native:
    """A network in its framework, as `try_network` takes one."""

    module: ModuleType
    network: Any
    margin_px: int
    patch_px: int
    predictions_at_once: int = 1

    def predict(self, amplitude: NDArray[np.float32], scale: float) -> NDArray[np.complex64]:
        patches: NDArray[np.complex64] = self.module.predict(self.network, amplitude, scale)
        kept = slice(self.margin_px, self.margin_px + self.patch_px)
        return patches[..., kept, kept]


@dataclass(frozen=True)
class _Facts:
    """What `try_network` must know of a network that has no manifest yet."""

    window_px: int
    num_channels: int
    max_distance_px: float
    patch_px: int
    trained_scale: float
    probe: NDArray[np.complex64]
    name: str = "network in training"
    replaces_probe: bool = True


def measure_own_residual(
    run: Run[TrainingConfig], scans: Sequence[Scan], samples: Samples, architecture: Architecture
) -> OwnResidual | None:
    """Measure what the best weights of a run leave unexplained of its scans.

    Training and validation patterns are looked at apart, in some scans and some patterns of each:
    see `NUM_SCANS` and `NUM_USED`. Their mean is returned.

    Parameters
    ----------
    run : Run
        The finished run: its weights, and the probe of the first scan if that was trained.
    scans : sequence of Scan
    samples : Samples
        Made of these scans.
    architecture : Architecture

    Returns
    -------
    OwnResidual or None
        None if a probe is only an estimate, or the scans are too sparse for parts of them.
    """
    config, best = run.config, run.best_weights()
    module = load_backend(config.backend, "network")
    network = module.build_network(architecture)
    module.set_weights(network, best)
    side = architecture.window_px
    patch_px = min(config.patch_px or side // 2, side)  # larger ones are refused by the export
    native = _Native(module, network, (side - patch_px) // 2, patch_px)
    found: dict[str, list[Residual]] = {"training": [], "validation": []}
    for index in spread_indexes(1 if config.trains_probe else len(scans), NUM_SCANS).tolist():
        probe = run.probe() if config.trains_probe else samples.probes[index].array
        if samples.probes[index].source == "estimated" and not config.trains_probe:
            continue
        facts = _Facts(
            side,
            architecture.num_channels,
            samples.max_distance_px,
            patch_px,
            float(samples.constants.scale[index]),
            probe,
        )
        scan = replace(scans[index], probe=probe, object_=None)
        for part, residuals in found.items():
            residual = _try(scan, native, facts, _members(samples, index, part))
            residuals += [] if residual is None else [residual]
    return _summary(found["training"], found["validation"])


def _members(samples: Samples, index: int, part: str) -> NDArray[np.int64]:
    """Return the training or validation patterns of one scan, counted from its first."""
    first = int(np.searchsorted(samples.scan, index))
    patterns: NDArray[np.int64] = getattr(samples, part)
    return np.asarray(patterns[samples.scan[patterns] == index] - first)


def _try(scan: Scan, native: _Native, facts: _Facts, members: NDArray[np.int64]) -> Residual | None:
    """Return the residual of some members; None if there are none, or it cannot be measured.

    A training that has done its work must not fail by what is only said about it.
    """
    if not len(members):
        return None
    used, tested = patterns_around(
        scan.corners_px, members, num_used=NUM_USED, num_tested=NUM_TESTED
    )
    if not len(tested):
        return None
    options = ReconstructionOptions(scale=facts.trained_scale, batch_size=32)
    try:
        found = try_network(scan, native, facts, used=used, tested=tested, options=options)
    except (ScanError, NotFiniteError) as error:
        _logger.warning("The residual of %s was not measured: %s", scan.name, error)
        return None
    return found if np.isfinite([found.total, found.of_noise]).all() else None


def _summary(training: list[Residual], validation: list[Residual]) -> OwnResidual | None:
    if not training:
        return None
    return OwnResidual(
        training=_mean([each.total for each in training]),
        training_noise=_mean([each.of_noise for each in training]),
        validation=_mean([each.total for each in validation]) if validation else None,
        validation_noise=_mean([each.of_noise for each in validation]) if validation else None,
        num_patterns=sum(each.num_patterns for each in (*training, *validation)),
    )


def _mean(values: list[float]) -> float:
    return float(f"{np.mean(values):.{DIGITS}g}")
