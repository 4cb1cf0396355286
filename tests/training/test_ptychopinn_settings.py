"""PtychoPINN's settings mean the same here, or are refused with a reason; none is ignored."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ptychonyx.training.config.config import load_config
from ptychonyx.training.config.ptychopinn import FIELDS, translate

ROOT = Path(__file__).parents[2]

MODEL_FIELDS = [
    "N",
    "gridsize",
    "n_filters_scale",
    "model_type",
    "architecture",
    "fno_modes",
    "fno_width",
    "fno_blocks",
    "fno_cnn_blocks",
    "learned_input_channels",
    "max_hidden_channels",
    "resnet_width",
    "fno_input_transform",
    "generator_output_mode",
    "amp_activation",
    "object_big",
    "probe_big",
    "probe_mask",
    "probe_mask_sigma",
    "probe_mask_diameter",
    "pad_object",
    "probe_scale",
    "gaussian_smoothing_sigma",
]
TRAINING_FIELDS = [
    "train_data_file",
    "test_data_file",
    "batch_size",
    "nepochs",
    "mae_weight",
    "nll_weight",
    "realspace_mae_weight",
    "realspace_weight",
    "nphotons",
    "n_groups",
    "n_images",
    "n_subsample",
    "subsample_seed",
    "neighbor_count",
    "enable_oversampling",
    "neighbor_pool_size",
    "positions_provided",
    "probe_trainable",
    "intensity_scale_trainable",
    "output_dir",
    "sequential_sampling",
    "backend",
    "torch_loss_mode",
    "torch_mae_pred_l2_match_target",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "optimizer",
    "momentum",
    "weight_decay",
    "adam_beta1",
    "adam_beta2",
    "scheduler",
    "lr_warmup_epochs",
    "lr_min_ratio",
    "plateau_factor",
    "plateau_patience",
    "plateau_min_lr",
    "plateau_threshold",
]


def test_every_field_has_a_meaning_here() -> None:
    assert set(MODEL_FIELDS) | set(TRAINING_FIELDS) <= set(FIELDS)


def test_a_whole_file_becomes_the_same_training(tmp_path: Path) -> None:
    theirs = {
        "model": {
            "N": 128,
            "gridsize": 2,
            "n_filters_scale": 1,
            "architecture": "cnn",
            "amp_activation": "swish",
            "probe_big": False,
            "pad_object": True,
            "object_big": True,
        },
        "backend": "pytorch",
        "nepochs": 40,
        "batch_size": 8,
        "nll_weight": 0.5,
        "realspace_weight": 2.0,
        "realspace_mae_weight": 0.25,
        "probe_trainable": True,
        "intensity_scale_trainable": False,
        "scheduler": "WarmupCosine",
        "lr_warmup_epochs": 3,
        "lr_min_ratio": 0.05,
        "learning_rate": 2e-3,
        "gradient_clip_val": 1.0,
        "optimizer": "adamw",
        "weight_decay": 0.01,
    }
    path = tmp_path / "ptychopinn.yaml"
    path.write_text(yaml.safe_dump(theirs))
    config = load_config(path, {"seed": 3})
    assert (config.architecture, config.window_px, config.num_channels) == ("ptychopinn", 128, 4)
    assert (config.filters, config.amplitude_activation, config.probe_big) == (1.0, "swish", False)
    assert (config.backend, config.epochs, config.batch_size) == ("pytorch", 40, 8)
    assert config.loss_weights == {"poisson": 0.5, "supervised": 0.5}
    assert (config.trainable_probe, config.trainable_gain) == (True, False)
    assert (config.schedule, config.warmup_epochs) == ("cosine", 3)
    assert config.learning_rate == 2e-3
    assert config.min_learning_rate == pytest.approx(1e-4)
    assert (config.gradient_clip_norm, config.optimizer, config.weight_decay) == (
        1.0,
        "adamw",
        0.01,
    )
    assert config.seed == 3


def test_what_is_left_out_has_their_default() -> None:
    ours = translate({"gridsize": 1})
    assert (ours["filters"], ours["epochs"], ours["trainable_gain"]) == (2.0, 50, True)
    assert (ours["schedule"], ours["amplitude_max"]) == ("constant", 1.0)
    assert ours["loss"] == {"poisson": 1.0}


def test_supervised_training_is_supervised() -> None:
    assert translate({"model": {"model_type": "supervised"}})["loss"] == {"supervised": 1.0}


def test_a_plateau_has_its_own_last_rate() -> None:
    ours = translate({"nepochs": 2, "scheduler": "ReduceLROnPlateau", "plateau_min_lr": 2e-5})
    assert (ours["schedule"], ours["min_learning_rate"]) == ("plateau", 2e-5)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("architecture", "fno", r"`architecture` is 'fno'; accepted are 'cnn'.*not offered"),
        ("object_big", False, "always agrees on one object"),
        ("probe_scale", 10.0, "only 4.0 is accepted: the probe is brought to counts"),
        ("mae_weight", 0.5, "no absolute amplitude loss"),
        ("n_images", 512, "all patterns"),
        ("train_data_file", "a.npz", "named on the command line"),
        ("optimizer", "sgd", "'adam', 'adamw'"),
        ("neighbor_count", 7, "square blocks of neighbours"),
        ("epochs", 7, "`epochs` is no field of PtychoPINN"),
        ("typo", 7, "`typo` is no field of PtychoPINN"),
    ],
)
def test_what_cannot_be_had_is_refused_with_its_reason(
    name: str, value: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        translate({"nepochs": 5, name: value})


def test_the_table_in_the_documents_is_this_one() -> None:
    text = (ROOT / "docs" / "guide" / "ptychopinn.md").read_text()
    for name, field in FIELDS.items():
        assert f"| `{name}` | {field.meaning} |" in text
