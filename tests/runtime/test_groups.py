"""Groups: every pattern is in its own, in square blocks of distinct neighbours in reading order."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.groups import find_groups


def raster(num: int = 12, step_px: float = 5.0) -> NDArray[np.float64]:
    jitter = np.random.default_rng(0).uniform(-1, 1, (num * num, 2))
    return np.indices((num, num)).reshape(2, -1).T * step_px + jitter


@pytest.mark.parametrize("num_channels", [1, 4, 9])
def test_every_pattern_is_in_its_group_and_members_stand_in_a_square_block(
    num_channels: int,
) -> None:
    corners_px = raster()
    groups = find_groups(corners_px, num_channels, max_distance_px=25, rng=np.random.default_rng(1))
    side = int(np.sqrt(num_channels))
    places_px = 5.0 * np.indices((side, side)).reshape(2, -1).T
    for index, group in enumerate(groups):
        assert index in group
        assert len(set(group.tolist())) == num_channels
        offsets_px = corners_px[group] - corners_px[group[0]]
        assert np.abs(offsets_px - places_px).max() <= 2  # twice the jitter of 1


@pytest.mark.parametrize("turn", [0.3, -0.2])
def test_channels_keep_their_meaning_in_a_turned_scan(turn: float) -> None:
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    corners_px = raster() @ rotation.T
    groups = find_groups(corners_px, 4, max_distance_px=25, rng=np.random.default_rng(1))
    upper_left, upper_right, lower_left, lower_right = corners_px[groups].mean(axis=0)
    assert upper_right[1] - upper_left[1] > 4
    assert lower_left[0] - upper_left[0] > 4
    assert min(lower_right - upper_left) > 3


def test_a_pattern_leads_different_blocks() -> None:
    corners_px = raster()
    middle = 6 * 12 + 6
    drawn = {
        tuple(
            find_groups(corners_px, 4, max_distance_px=25, rng=np.random.default_rng(seed))[middle]
        )
        for seed in range(40)
    }
    assert {group.index(middle) for group in drawn} == {0, 1, 2, 3}


def test_where_there_is_no_block_the_nearest_make_the_group() -> None:
    corners_px = np.stack([np.zeros(10), 5.0 * np.arange(10)], axis=1)  # a line
    groups = find_groups(corners_px, 4, max_distance_px=16, rng=np.random.default_rng(0))
    assert groups[0].tolist() == [0, 1, 2, 3]
    assert set(groups[5].tolist()) <= {3, 4, 5, 6, 7}


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
    spread = np.linalg.norm(corners_px[groups] - corners_px[:, None], axis=-1)
    assert spread.max() <= 12


def test_a_sparse_scan_says_what_distance_would_do() -> None:
    corners_px = raster()
    corners_px[17] += 400
    rng = np.random.default_rng(0)
    with pytest.raises(
        ScanError, match=r"Pattern 0 has 2 neighbours.*too sparse.*smaller ones"
    ) as caught:
        find_groups(corners_px, 4, max_distance_px=8.0, rng=rng)
    enough = float(str(caught.value).split()[-1].rstrip("."))
    assert find_groups(corners_px, 4, max_distance_px=enough, rng=rng).shape == (144, 4)
    with pytest.raises(ScanError, match="There are 3 patterns, but a group needs 4"):
        find_groups(corners_px[:3], 4, max_distance_px=8.0, rng=rng)
