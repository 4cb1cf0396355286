"""What each device takes of each batch."""

from __future__ import annotations

import numpy as np
import pytest

from ptychonyx.runtime.scan import Scan
from ptychonyx.training import TrainingConfig
from ptychonyx.training.data.feed import make_feeds
from ptychonyx.training.data.prepare import prepare_samples
from ptychonyx.training.data.samples import Samples
from ptychonyx.training.distributed.workers import Workers
from ptychonyx.training.physics.losses import Batch

CONFIG = TrainingConfig(batch_size=12, validation_fraction=0.2)


@pytest.fixture
def samples(small_scan: Scan) -> Samples:
    return prepare_samples([small_scan], validation_fraction=CONFIG.validation_fraction)


def same(batch: Batch) -> Batch:
    return batch


@pytest.mark.parametrize(
    "processes",
    [
        [Workers()],
        [Workers(devices=2, rank=0), Workers(devices=2, rank=1)],
        [Workers(devices=4, strategy="mirrored")],
    ],
    ids=["alone", "two processes", "one process with four devices"],
)
def test_the_parts_of_all_devices_are_the_batches(
    processes: list[Workers], samples: Samples
) -> None:
    feeds = [
        make_feeds(samples, CONFIG, workers, same, epoch=lambda: 3)[0] for workers in processes
    ]
    expected = list(samples.training_batches(batch_size=12, seed=CONFIG.seed, epoch=3))
    assert [len(feed) for feed in feeds] == [len(expected)] * len(feeds)
    for groups, *parts_of_process in zip(expected, *feeds, strict=True):
        parts = [part for parts in parts_of_process for part in parts]
        assert len(parts) == processes[0].num_devices
        assert sum(part.share for part in parts) == pytest.approx(1)
        assert {part.num for part in parts} == {len(groups)}
        amplitude = np.concatenate([part.batch.amplitude for part in parts])
        np.testing.assert_array_equal(amplitude, samples.batch(groups).amplitude)


def test_each_pass_asks_for_the_epoch(samples: Samples) -> None:
    epochs = iter((0, 1, 0))
    training, validation = make_feeds(samples, CONFIG, Workers(), same, epoch=lambda: next(epochs))
    first, second, third = (
        np.concatenate([part.batch.amplitude for (part,) in training]) for _ in range(3)
    )
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, third)
    assert sum(part.num for (part,) in validation) == len(samples.validation)


def test_nothing_validates_without_a_share_for_it(small_scan: Scan) -> None:
    samples = prepare_samples([small_scan], validation_fraction=0)
    _, validation = make_feeds(samples, CONFIG, Workers(), same, epoch=lambda: 0)
    assert len(validation) == 0
    assert list(validation) == []
