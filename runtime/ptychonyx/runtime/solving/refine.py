"""Passes after a network: they start from its object, and the product tells of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..product import NETWORK, NETWORK_AND_PASSES, Metadata, Product
from ..scan import Scan
from .options import DEFAULT_SOLVING, SolvingOptions
from .solve import Progress, solve

NETWORK_FACTS = (
    "model_digest",
    "model_name",
    "backend",
    "providers",
    "input_scale",
    "patch_weights",
    "subpixel",
    "align_phase",
    "batch_size",
    "infer_s",
)
"""What a refined product keeps of the network's metadata."""


class Solver(Protocol):
    """Solves a scan by passes: `solve`, or what takes the same arguments."""

    def __call__(
        self,
        scan: Scan,
        options: SolvingOptions,
        *,
        start: Product | None,
        probe: NDArray[np.complex64] | None,
        progress: Progress | None,
        should_stop: Callable[[], bool] | None,
    ) -> Product:
        """Return the solved scan."""


def refine(
    scan: Scan,
    product: Product,
    options: SolvingOptions = DEFAULT_SOLVING,
    *,
    probe: NDArray[np.complex64] | None = None,
    solver: Solver = solve,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Product:
    """Go on from the result of a network with passes over the same scan.

    Parameters
    ----------
    scan : Scan
        The one that the network saw.
    product : Product
        The network's result.
    options : SolvingOptions
    probe : complex64 array, shape (modes, N, N), optional
        Used instead of the one that the network's result has.
    solver : callable
        Makes the passes.
    progress, should_stop : callable, optional
        As those of `solve`.

    Returns
    -------
    Product
        Its metadata holds the model's facts and those of the passes. `method` is "network and
        passes", `network_residual` what the network's result left unexplained, if that was
        measured, and `total_s` the time of both.

    Raises
    ------
    ValueError
        If probe or product do not fit the scan.
    ScanError
        If a pattern cannot be used.

    Examples
    --------
    >>> from ptychonyx.runtime import SimulationOptions, simulate_scan
    >>> spec = SimulationOptions(num_patterns=49, window_px=32)
    >>> scan = simulate_scan(spec, np.random.default_rng(0))
    >>> first = solve(scan, SolvingOptions(passes=1))
    >>> network = replace(first, metadata={"model_name": "small", "residual": 0.5})
    >>> metadata = refine(scan, network, SolvingOptions(passes=2)).metadata
    >>> [metadata[name] for name in ("method", "model_name", "passes", "network_residual")]
    ['network and passes', 'small', 2, 0.5]
    """
    keeps_probe = probe is None and (
        scan.probe is None or product.metadata.get("probe_source") == "model"
    )
    solved = solver(
        scan,
        options,
        start=product,
        probe=product.probe if keeps_probe else probe,
        progress=progress,
        should_stop=should_stop,
    )
    names = (*NETWORK_FACTS, *(("probe_source", "probe_counts_ratio") if keeps_probe else ()))
    return replace(solved, metadata=solved.metadata | _of_network(product.metadata, names, solved))


def _of_network(network: Metadata, names: tuple[str, ...], solved: Product) -> Metadata:
    """Return what the network's metadata adds to that of the passes, or replaces there."""
    kept = {name: network[name] for name in names if name in network}
    if "residual" in network:
        kept["network_residual"] = network["residual"]
    seconds = float(network.get("total_s", 0.0)) + float(solved.metadata["total_s"])
    return kept | {"method": NETWORK_AND_PASSES, "start": NETWORK, "total_s": seconds}
