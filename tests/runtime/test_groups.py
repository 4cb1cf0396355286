"""Groups: every pattern leads one, partners are near, distinct and drawn the same way again."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.groups import CANDIDATES_PER_PARTNER, find_groups


def raster(num: int = 12, step_px: float = 5.0) -> NDArray[np.float64]:
    jitter = np.random.default_rng(0).uniform(-1, 1, (num * num, 2))
    return np.indices((num, num)).reshape(2, -1).T * step_px + jitter


@pytest.mark.parametrize("num_channels", [1, 4, 9])
def test_partners_are_distinct_and_among_the_nearest(num_channels: int) -> None:
    corners_px = raster()
    groups = find_groups(corners_px, num_channels, max_distance_px=25, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(groups[:, 0], np.arange(len(corners_px)))
    for group in groups:
        assert len(set(group.tolist())) == num_channels
        distances = np.linalg.norm(corners_px - corners_px[group[0]], axis=1)
        nearest = np.argsort(distances)[: 1 + CANDIDATES_PER_PARTNER * (num_channels - 1)]
        assert set(group.tolist()) <= set(nearest.tolist())


def test_the_same_generator_gives_the_same_groups_and_another_gives_others() -> None:
    first, again, other = (
        find_groups(raster(), 4, max_distance_px=25, rng=np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_patterns_on_one_spot_are_partners_and_none_is_its_own() -> None:
    corners_px = np.zeros((6, 2))
    groups = find_groups(corners_px, 4, max_distance_px=1, rng=np.random.default_rng(0))
    assert all(len(set(group.tolist())) == 4 for group in groups)


def test_partners_beyond_the_distance_are_never_taken() -> None:
    corners_px = np.concatenate([raster(4), raster(4) + 500])
    groups = find_groups(corners_px, 4, max_distance_px=12, rng=np.random.default_rng(0))
    spread = np.linalg.norm(corners_px[groups] - corners_px[groups[:, :1]], axis=-1)
    assert spread.max() <= 12


def test_a_sparse_scan_says_what_distance_would_do() -> None:
    corners_px = raster()
    corners_px[17] += 400
    options = {"max_distance_px": 8.0, "rng": np.random.default_rng(0)}
    with pytest.raises(
        ScanError, match=r"Pattern 0 has 2 neighbours.*too sparse.*smaller ones"
    ) as caught:
        find_groups(corners_px, 4, **options)
    enough = float(str(caught.value).split()[-1].rstrip("."))
    assert find_groups(corners_px, 4, max_distance_px=enough, rng=options["rng"]).shape == (144, 4)
    with pytest.raises(ScanError, match="There are 3 patterns, but a group needs 4"):
        find_groups(corners_px[:3], 4, **options)
