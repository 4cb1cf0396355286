"""A canvas in tiles is the whole canvas."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy import ndimage

from ptychonyx.runtime.solving.network.features import NUM_FEATURES
from ptychonyx.runtime.solving.network.tiles import MARGIN_PX, change_of_canvas


@dataclass
class Blur:
    """A network that sees as far as the margin reaches, from halved images on, as a U-Net does."""

    name: str = "test"
    stride: int = 16
    seen: list[tuple[int, ...]] = field(default_factory=list)

    def change(self, features: np.ndarray) -> np.ndarray:
        self.seen.append(features.shape)
        height, width = features.shape[1:]
        assert height % self.stride == width % self.stride == 0
        side = self.stride
        coarse = features[:2].reshape(2, height // side, side, width // side, side).max(axis=(2, 4))
        reach = MARGIN_PX // side - 1
        spread = ndimage.uniform_filter(coarse, (1, 2 * reach + 1, 2 * reach + 1), mode="constant")
        return features[2:4] + spread.repeat(side, axis=1).repeat(side, axis=2)


@pytest.mark.parametrize("shape", [(700, 523), (400, 1100), (96, 64), (33, 50)])
def test_tiles_give_what_the_whole_gives(shape: tuple[int, int]) -> None:
    images = np.random.default_rng(0).normal(size=(NUM_FEATURES, *shape)).astype(np.float32)
    whole, tiled = Blur(), Blur()
    expected = change_of_canvas(whole, images)
    found = change_of_canvas(tiled, images, tile_px=2 * MARGIN_PX + 64)
    assert found.shape == (2, *shape)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert len(whole.seen) == 1
    assert max(max(seen[1:]) for seen in tiled.seen) <= 2 * MARGIN_PX + 64
    assert (len(tiled.seen) > 1) == (max(shape) > 2 * MARGIN_PX + 64)
