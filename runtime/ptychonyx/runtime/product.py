"""The result of a reconstruction: an object, where it lies, and how far it can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import NotFiniteError
from .scan import Frame

Metadata = dict[str, str | float | int | bool]

NETWORK, PASSES, NETWORK_AND_PASSES = "network", "passes", "network and passes"
"""How a product was made: what `metadata["method"]` may be."""
OBJECT_MAPS: dict[str, type[np.generic]] = {"coverage": np.int32, "disagreement": np.float32}
"""Fields of the object's shape that a product may have, and their dtypes."""
MAPS: dict[str, type[np.generic]] = OBJECT_MAPS | {
    "given_corners_px": np.float64,
    "pattern_residuals": np.float32,
    "pattern_factors": np.float64,
    "background": np.float32,
    "pass_residuals": np.float64,
    "ring_correlation": np.float64,
}
"""All arrays that a product may have beside object, probe and positions, and their dtypes."""
NUM_NAMED = 5
"""Of many patterns, so many are named."""
METADATA_NUMBERS = (
    *("residual", "residual_noise", "model_residual", "probe_overlap", "share_at_bounds"),
    *("network_residual", "left_out_unexplained", "unexplained_differences"),
    *("resolution_px", "resolution_nm", "probe_counts_ratio", "input_scale"),
    *("trial_residual", "trial_noise", "trial_network_residual", "trial_unexplained"),
    *("trial_passes", "trial_patterns"),
    *("positions_moved_px", "positions_bound_px"),
    *("intensity_spread", "background_share", "intensity_needed", "background_needed"),
    *("passes", "residual_patterns", "infer_s", "total_s"),
)
"""Fields of `metadata` that are numbers, and are computed with."""


@dataclass(frozen=True)
class Product:
    """A reconstructed object and everything needed to place and judge it.

    Attributes
    ----------
    object_ : complex64 array, shape (H, W)
        0 where no patch reached.
    object_corner_px : (int, int)
        Its top-left pixel (y, x) in the scan's frame.
    corners_px : float64 array, shape (n, 2)
        Top-left pixel (y, x) of each pattern's window in the scan's frame.
    given_corners_px : float64 array, shape (n, 2), or None
        Where the scan has them, if these were refined.
    position_indexes : int64 array, shape (n,)
    window_px : int
        N.
    probe : complex64 array, shape (modes, N, N)
        The probe in sqrt(counts), so that |F(P·O)|² are counts.
    coverage : int32 array, shape (H, W), or None
        Number of patches at each pixel.
    disagreement : float32 array, shape (H, W), or None
        Weighted variance of the overlapping patches.
    pattern_residuals : float32 array, shape (n,), or None
        Share of each pattern that the object leaves unexplained; NaN where it was not looked at.
        The number over all of them is `metadata["residual"]`.
    pattern_factors : float64 array, shape (n,), or None
        How bright each pattern is beside the mean one, if that was fitted.
    background : float32 array, shape (N, N), or None
        Counts that are in every pattern, but not of the beam, if these were fitted; as patterns are,
        with DC in the middle.
    pass_residuals : float array, shape (passes,), or None
        Share of the measured amplitude that was unexplained during each pass of a solver.
    ring_correlation : float64 array, shape (3, rings), or None
        How alike the objects of two halves of the patterns are: frequencies in cycles per pixel, the
        correlation of each ring, and the threshold below which it may be chance. The period where
        they cross is `metadata["resolution_px"]`.
    pixel_size_m, photon_energy_eV, detector_distance_m : float or None
    frame : Frame or None
        The input product's own canvas.
    name : str
    complete : bool
        False if reconstruction was stopped early.
    num_patterns_used : int or None
    metadata : dict
        Method; of a network model digest, backend, providers and scale; of passes their number and
        why they stopped; probe, residual, timings.
    """

    object_: NDArray[np.complex64]
    object_corner_px: tuple[int, int]
    corners_px: NDArray[np.float64]
    position_indexes: NDArray[np.int64]
    window_px: int
    probe: NDArray[np.complex64]
    coverage: NDArray[np.int32] | None = None
    disagreement: NDArray[np.float32] | None = None
    given_corners_px: NDArray[np.float64] | None = None
    pattern_residuals: NDArray[np.float32] | None = None
    pattern_factors: NDArray[np.float64] | None = None
    background: NDArray[np.float32] | None = None
    pass_residuals: NDArray[np.float64] | None = None
    ring_correlation: NDArray[np.float64] | None = None
    pixel_size_m: float | None = None
    photon_energy_eV: float | None = None
    detector_distance_m: float | None = None
    frame: Frame | None = None
    name: str = "product"
    complete: bool = True
    num_patterns_used: int | None = None
    metadata: Metadata = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_shapes(self)

    @property
    def maps(self) -> dict[str, NDArray[Any]]:
        """Maps of the object, residuals and curves, by name; those that are None are left out."""
        maps = {name: getattr(self, name) for name in MAPS}
        return {name: array for name, array in maps.items() if array is not None}


def check_finite(product: Product) -> None:
    """Refuse a product whose object, probe or positions are not finite.

    Raises
    ------
    NotFiniteError
        Names the patterns whose windows see the wrong pixels.

    Examples
    --------
    >>> object_ = np.ones((4, 6), np.complex64)
    >>> object_[0, 5] = np.nan
    >>> corners_px = np.array([[0.0, 0.0], [0.0, 2.0]])
    >>> probe = np.ones((1, 4, 4), np.complex64)
    >>> check_finite(Product(object_, (0, 0), corners_px, np.arange(2), 4, probe))
    Traceback (most recent call last):
    ...
    ptychonyx.runtime.errors.NotFiniteError: The object is not finite at 1 of its pixels, which \
pattern 1 sees; a finite one is needed: check that pattern, the probe and the positions.
    """
    for name in ("probe", "corners_px"):
        if not np.isfinite(getattr(product, name)).all():
            raise NotFiniteError(
                f"`{name}` of {product.name!r} is not finite; finite numbers are needed: check the "
                "scan and what it was reconstructed with."
            )
    wrong_px = np.argwhere(~np.isfinite(product.object_))
    if len(wrong_px) == 0:
        return
    corners_px = np.floor(product.corners_px - np.array(product.object_corner_px))
    seen = tuple(
        index
        for index, corner in enumerate(corners_px)
        if ((wrong_px >= corner) & (wrong_px < corner + product.window_px)).all(axis=1).any()
    )
    those = "that pattern" if len(seen) == 1 else "these patterns"
    raise NotFiniteError(
        f"The object is not finite at {len(wrong_px)} of its pixels, which {name_patterns(seen)} "
        f"{'sees' if len(seen) == 1 else 'see'}; a finite one is needed: check {those}, the probe and "
        "the positions.",
        seen,
    )


def name_patterns(indexes: Sequence[int]) -> str:
    """Name patterns, the first few of many.

    Examples
    --------
    >>> name_patterns([3]), name_patterns(range(9)), name_patterns([])
    ('pattern 3', 'patterns 0, 1, 2, 3, 4 and 4 more', 'no pattern')
    """
    if len(indexes) == 0:
        return "no pattern"
    named = ", ".join(str(index) for index in indexes[:NUM_NAMED])
    more = f" and {len(indexes) - NUM_NAMED} more" if len(indexes) > NUM_NAMED else ""
    return f"{'pattern' if len(indexes) == 1 else 'patterns'} {named}{more}"


def _check_shapes(product: Product) -> None:
    if product.object_.ndim != 2:
        raise ValueError(
            f"`object_` has shape {product.object_.shape}, expected (H, W): give one layer."
        )
    num, side = len(product.position_indexes), product.window_px
    expected: dict[str, tuple[tuple[int, ...], str]] = {
        "corners_px": ((num, 2), "one (y, x) corner for each of `position_indexes`"),
        "probe": ((len(product.probe), side, side), "modes first, as wide as `window_px`"),
    }
    maps = [name for name in product.maps if name in OBJECT_MAPS]
    expected |= dict.fromkeys(maps, (product.object_.shape, "as `object_`"))
    if product.pattern_residuals is not None:
        expected["pattern_residuals"] = ((num,), "one for each of `position_indexes`")
    if product.pattern_factors is not None:
        expected["pattern_factors"] = ((num,), "one for each of `position_indexes`")
    if product.background is not None:
        expected["background"] = ((side, side), "as one pattern")
    if product.given_corners_px is not None:
        expected["given_corners_px"] = ((num, 2), "as `corners_px`")
    if product.ring_correlation is not None:
        expected["ring_correlation"] = (
            (3, product.ring_correlation.shape[-1]),
            "frequencies, correlation and threshold of each ring",
        )
    for name, (shape, why) in expected.items():
        given = getattr(product, name).shape
        if given != shape:
            raise ValueError(f"`{name}` has shape {given}, expected {shape}: {why}.")
