"""Samples, policy, weights, configuration, run folders: what both backends share."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.scaling import input_scale, read_amplitudes
from ptychonyx.runtime.scan import Quantity, Scan
from ptychonyx.runtime.simulation.scan import (
    OBJECTS,
    POSITIONS,
    PROBES,
    SimulationOptions,
    simulate_scan,
)
from ptychonyx.training import TrainingConfig, load_config, train
from ptychonyx.training.data.prepare import prepare_samples, split
from ptychonyx.training.network.architecture import Architecture
from ptychonyx.training.network.weights import (
    check_weights,
    draw_weights,
    load_weights,
    save_weights,
)
from ptychonyx.training.physics.forward import predict_rate
from ptychonyx.training.policy import after_epoch, start
from ptychonyx.training.run import start_run

RNG = np.random.default_rng


@pytest.mark.parametrize(
    ("window_px", "filters", "num_parameters"), [(64, 0.5, 289_106), (64, 1.0, 1_154_210)]
)
def test_parameter_counts(window_px: int, filters: float, num_parameters: int) -> None:
    architecture = Architecture(window_px=window_px, filters=filters)
    weights = draw_weights(architecture, RNG(0))
    assert architecture.num_parameters == num_parameters
    assert sum(array.size for array in weights.values()) == num_parameters


PTYCHOPINN_COUNTS = [
    (64, 1, True, 2_331_772),
    (64, 4, True, 2_340_208),
    (64, 1, False, 2_252_026),
    (64, 4, False, 2_257_000),
    (128, 1, True, 4_661_212),
    (128, 1, False, 4_639_770),
    (256, 1, True, 12_912_268),
    (256, 1, False, 12_906_154),
]


@pytest.mark.parametrize(("window_px", "num_channels", "probe_big", "expected"), PTYCHOPINN_COUNTS)
def test_ptychopinn_has_the_parameters_of_ptychopinn(
    window_px: int, num_channels: int, probe_big: bool, expected: int
) -> None:
    architecture = Architecture(
        "ptychopinn",
        window_px=window_px,
        num_channels=num_channels,
        filters=2,
        probe_big=probe_big,
    )
    assert architecture.num_parameters == expected


def test_wider_windows_get_one_more_block_in_front() -> None:
    assert Architecture(window_px=64).encoder_widths == (32, 64, 128)
    assert Architecture(window_px=128).encoder_widths == (16, 32, 64, 128)


@pytest.mark.parametrize(("window_px", "padded"), [(100, "104×104"), (66, "72×72"), (8, "16×16")])
def test_windows_that_do_not_halve_name_the_size_that_works(window_px: int, padded: str) -> None:
    with pytest.raises(ValueError, match=padded):
        Architecture(window_px=window_px)
    Architecture(window_px=int(padded.split("×")[0]))


def test_validation_is_a_region_and_every_sample_is_used_once() -> None:
    corners_px = RNG(0).uniform(0, [50, 90], (200, 2))
    training, validation = split(corners_px, 0.2)
    assert sorted([*training, *validation]) == list(range(200))
    assert corners_px[training, 1].max() <= corners_px[validation, 1].min()


@pytest.mark.parametrize("group_size", [1, 4])
def test_batches_depend_on_seed_and_epoch_alone(group_size: int, small_scan: Scan) -> None:
    samples = prepare_samples([small_scan], validation_fraction=0.2, group_size=group_size)
    batches = [
        list(samples.training_batches(batch_size=8, seed=seed, epoch=epoch))
        for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    flat = [np.concatenate(epoch) for epoch in batches]
    for groups in flat:
        assert groups.shape[1] == group_size
        assert len(groups) == len(samples.training)
        # every pattern is used, and none reaches into the validation region
        np.testing.assert_array_equal(np.unique(groups), samples.training)
    np.testing.assert_array_equal(flat[0], flat[1])
    assert not np.array_equal(flat[0], flat[2])
    assert not np.array_equal(flat[0], flat[3])


class CountedPatterns:
    """Patterns that count how often each is read."""

    def __init__(self, patterns: NDArray[Any]) -> None:
        self.patterns, self.shape, self.dtype = patterns, patterns.shape, patterns.dtype
        self.num_reads = np.zeros(len(patterns), dtype=int)

    def __getitem__(self, key: slice | NDArray[np.int64]) -> NDArray[Any]:
        self.num_reads[key] += 1
        return np.asarray(self.patterns[key])

    def __len__(self) -> int:
        return len(self.patterns)


@pytest.mark.parametrize("quantity", ["counts", "amplitude"])
def test_a_scan_is_read_once(quantity: Quantity, small_scan: Scan) -> None:
    counts = np.asarray(small_scan.patterns[0:40], dtype=np.float32)
    patterns = CountedPatterns(counts if quantity == "counts" else np.sqrt(counts))
    scan = dataclasses.replace(small_scan, patterns=patterns, quantity=quantity)
    samples = prepare_samples([scan], validation_fraction=0.2)
    assert set(patterns.num_reads) == {1}
    np.testing.assert_array_equal(samples.amplitude, read_amplitudes(scan, 0, 40))
    assert samples.constants.scale[0] == np.float32(input_scale(scan))


def test_a_scan_without_any_counts_is_named(small_scan: Scan) -> None:
    dark = dataclasses.replace(small_scan, patterns=np.zeros((40, 32, 32)), source="dark.npz")
    with pytest.raises(ScanError, match=r"All patterns of dark\.npz are zero"):
        prepare_samples([small_scan, dark], validation_fraction=0.2)


def test_several_scans_keep_their_own_scale_and_probe(small_scan: Scan) -> None:
    dim = simulate_scan(
        SimulationOptions(num_patterns=9, window_px=32, counts_per_pattern=500, num_modes=1), RNG(1)
    )
    samples = prepare_samples([small_scan, dim], validation_fraction=0.2)
    scale = samples.constants.scale
    assert scale[1] > 5 * scale[0]
    assert samples.constants.probe.shape == (2, 3, 32, 32)
    assert not samples.constants.probe[1, 1:].any()
    amplitude = samples.amplitude[samples.scan == 1].astype(np.float64)
    energy = float(np.sum((amplitude * scale[1]) ** 2, axis=(1, 2)).mean())
    assert energy == pytest.approx(16**2, rel=1e-5)


def test_a_part_too_small_or_too_sparse_for_groups_is_named(small_scan: Scan) -> None:
    for fraction, part in ((0.05, "validation"), (0.95, "training")):
        with pytest.raises(ScanError, match=f"In the {part} part.*a group needs 4"):
            prepare_samples([small_scan], validation_fraction=fraction, group_size=4)
    with pytest.raises(ScanError, match=r"neighbours within 1 px.*too sparse"):
        prepare_samples([small_scan], validation_fraction=0, group_size=4, max_distance_px=1)


def test_a_supervised_loss_needs_the_object(small_scan: Scan) -> None:
    blind = dataclasses.replace(small_scan, object_=None)
    with pytest.raises(ValueError, match=r"has no object, which a supervised loss needs"):
        prepare_samples([blind], validation_fraction=0, with_truth=True)
    truth = prepare_samples([small_scan], validation_fraction=0, with_truth=True).truth
    assert isinstance(truth, np.ndarray)
    assert truth.shape == (40, 32, 32)


def test_another_window_than_asked_for_is_refused(small_scan: Scan, tmp_path: Path) -> None:
    config = TrainingConfig(backend="pytorch", window_px=64)
    with pytest.raises(ValueError, match=r"`window_px` is 64, but the patterns.*32×32"):
        train([small_scan], config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_samples_refuse_what_does_not_fit(small_scan: Scan) -> None:
    other = simulate_scan(SimulationOptions(num_patterns=4, window_px=64), RNG(0))
    single = simulate_scan(SimulationOptions(num_patterns=1, window_px=32), RNG(0))
    for scans, probe, message in (
        ([], None, "No scan was given"),
        ([small_scan, other], None, "one model takes one window"),
        ([single], None, "at least two"),
        ([small_scan], np.ones((1, 64, 64), np.complex64), "The given probe has shape"),
    ):
        with pytest.raises(ValueError, match=message):
            prepare_samples(scans, validation_fraction=0.2, probe=probe)


def test_policy_lowers_the_rate_and_stops() -> None:
    config = TrainingConfig(
        plateau_patience=2, early_stopping_patience=5, learning_rate=0.4, min_learning_rate=0.1
    )
    progress = start(config, 1.0)
    rates = []
    while not progress.is_finished:
        progress = after_epoch(progress, config, 0.5 if progress.epoch == 0 else 0.6)
        rates.append(progress.learning_rate)
    assert rates == [0.4, 0.4, 0.2, 0.2, 0.1, 0.1]
    assert (progress.best_epoch, progress.best_loss) == (1, 0.5)


def test_divergence_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="diverged"):
        after_epoch(start(TrainingConfig(), 1.0), TrainingConfig(), float("nan"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: many", "`epochs` is 'many', expected int"),
        ("epochs: 0", "`epochs` is 0, expected at least 1"),
        ("epoch: 3", "Unknown training setting `epoch`"),
        ("backend: keras", 'expected exactly "tensorflow" or "pytorch"'),
        ("loss: mse", "`loss` is 'mse', expected one of"),
        ("learning_rate: -1.0", "`learning_rate` is -1.0, expected a positive number"),
        ("learning_rate: 1e-6", "`min_learning_rate` is 1e-05, expected at most"),
        ("filters: true", "`filters` is True"),
        ("patch_px: 7", "`patch_px` is 7, expected even"),
        ("num_channels: 5", "`num_channels` is 5, expected 1, 4 or 9"),
        ("{num_channels: 4, num_merged: 9}", "`num_merged` is 9, expected `num_channels`"),
        ("schedule: step", "`schedule` is 'step', expected one of"),
        ("optimizer: sgd", "`optimizer` is 'sgd', expected one of"),
        ("precision: float16", "`precision` is 'float16', expected one of"),
        ("weight_decay: 0.1", "`weight_decay` is 0.1, but `optimizer` is 'adam'"),
        ("probe_big: true", "`probe_big` is given, but `architecture` is 'unet'"),
        ("warmup_epochs: 100", "`warmup_epochs` is 100, expected below `epochs`"),
        ("loss: {poisson: 0}", "The weight of loss 'poisson' is 0, expected above 0"),
        ("loss: {total_variation: 1.0}", "which knows no data"),
        ("loss: {}", "which knows no data"),
        ("trainable_probe: 1", "`trainable_probe` is 1, expected bool"),
        (
            "gradient_clip_norm: 0",
            "`gradient_clip_norm` is 0.0, expected a positive number, or null",
        ),
        ("validation_fraction: 1", "`validation_fraction` is 1.0, expected from 0 to below 1"),
        ("- a list", "holds a list"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_bad_configurations(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        load_config(tmp_path / "run.yaml")


def test_configuration_round_trip_and_flags_win(tmp_path: Path) -> None:
    loss = {"amplitude": 1.0, "total_variation": 0.5}
    config = TrainingConfig(backend="pytorch", epochs=7, learning_rate=1e-3, loss=loss)
    config.save(tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config
    assert load_config(tmp_path / "config.yaml", {"epochs": 9, "seed": None}).epochs == 9
    assert config.digest() != dataclasses.replace(config, seed=1).digest()


def test_weights_round_trip_and_refusals(tmp_path: Path) -> None:
    architecture = Architecture(window_px=32, filters=0.25)
    weights = draw_weights(architecture, RNG(0))
    save_weights(weights, tmp_path / "w.safetensors")
    read = load_weights(tmp_path / "w.safetensors")
    for name, array in weights.items():
        np.testing.assert_array_equal(read[name], array)
    with pytest.raises(ValueError, match=r"`encoder.0.conv1.weight` of the weights.*F=0.5"):
        check_weights(weights, Architecture(window_px=32, filters=0.5))
    with pytest.raises(ValueError, match="There are no weights"):
        load_weights(tmp_path / "missing")
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is not a safetensors file"):
        load_weights(tmp_path / "bad.safetensors")


def test_run_folder_refusals(tmp_path: Path) -> None:
    inputs = [{"sha256": "a", "probe_sha256": "b"}]
    probe = np.ones((1, 4, 4), np.complex64)
    config = TrainingConfig()
    run = start_run(tmp_path / "run", config, inputs=inputs, probe=probe, overwrite=False)
    start_run(run.path, config, inputs=inputs, probe=probe, overwrite=False)
    changed = dataclasses.replace(config, epochs=3)
    other = [{"sha256": "other", "probe_sha256": "b"}]
    cropped = [inputs[0] | {"window_px": 32}]
    for settings, files, message in (
        (changed, inputs, "with `epochs` = 100, now 3"),
        (config, other, "on other scans or probes"),
        (config, cropped, "on other scans or probes"),
    ):
        with pytest.raises(ValueError, match=message):
            start_run(run.path, settings, inputs=files, probe=probe, overwrite=False)
    run.finish(start(config, 1.0))
    with pytest.raises(ValueError, match="holds a finished run"):
        start_run(run.path, config, inputs=inputs, probe=probe, overwrite=False)
    start_run(run.path, changed, inputs=inputs, probe=probe, overwrite=True)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").write_text("mine")
    with pytest.raises(ValueError, match="not a run folder"):
        start_run(tmp_path / "notes", config, inputs=inputs, probe=probe, overwrite=True)
    assert (tmp_path / "notes" / "diary.txt").exists()


def test_simulated_counts_follow_the_oracle_and_the_dose() -> None:
    spec = SimulationOptions(
        num_patterns=30, window_px=32, counts_per_pattern=1e6, amplitude_range=(1, 1)
    )
    scan = simulate_scan(spec, RNG(0))
    assert scan.object_ is not None
    assert scan.probe is not None
    counts = np.asarray(scan.patterns[0:30], dtype=np.float64)
    assert counts.sum(axis=(1, 2)).mean() == pytest.approx(1e6, rel=0.01)
    whole = np.round(scan.corners_px[:1]).astype(int)[0]
    patch = scan.object_[whole[0] : whole[0] + 32, whole[1] : whole[1] + 32].astype(np.complex128)
    from ptychonyx.runtime.simulation.scan import diffract

    drawn = diffract(
        scan.object_.astype(np.complex128),
        scan.probe.astype(np.complex128),
        whole[None] * 1.0,
        RNG(1),
    )
    rate = predict_rate(patch[None, None], scan.probe[None].astype(np.complex128))[0, 0]
    bright = rate > 5  # where a Poisson count is close to normal
    deviation = (drawn[0] - rate)[bright] / np.sqrt(rate[bright])
    assert abs(deviation).max() < 6
    assert np.mean(deviation**2) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("object_name", OBJECTS)
@pytest.mark.parametrize("positions_name", POSITIONS)
@pytest.mark.parametrize("probe_name", PROBES)
def test_every_simulation_repeats(object_name: str, positions_name: str, probe_name: str) -> None:
    spec = SimulationOptions(
        object_name=object_name,
        positions_name=positions_name,
        probe_name=probe_name,
        num_patterns=5,
        window_px=32,
    )
    one, other = (simulate_scan(spec, RNG(3)) for _ in range(2))
    np.testing.assert_array_equal(one.patterns[0:5], other.patterns[0:5])
    assert one.object_ is not None
    assert np.ptp(np.angle(one.object_)) > 0.1


def test_unknown_simulation_words_are_refused() -> None:
    with pytest.raises(ValueError, match="`object_name` is 'cat', expected one of: lines"):
        SimulationOptions(object_name="cat")
    with pytest.raises(ValueError, match="`step_px` is 0, expected a positive number"):
        SimulationOptions(step_px=0)
