"""PtychoPINN's own settings files, brought to ours: each field is the same, renamed, or refused.

Fields are those of PtychoPINN's `ModelConfig` and `TrainingConfig`, the former under `model:` or
beside the others. None is ignored: a field that means nothing here is accepted only at the value that
means nothing there either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MODEL = "model"
"""Key under which PtychoPINN nests its model's fields."""
ONLY_THEIRS = (MODEL, "N", "gridsize", "nepochs", "n_filters_scale", "nphotons", "model_type")
"""A settings file with one of these is PtychoPINN's."""

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Field:
    """How one field of PtychoPINN is translated.

    Attributes
    ----------
    meaning : str
        For the table in the documents.
    translate : callable
        Takes the value and all their values; returns fields of `TrainingConfig`.
    """

    meaning: str
    translate: Callable[[Any, Values], dict[str, Any]]


class _RefusedError(ValueError):
    """A value that means something there and nothing here; says what is accepted, and why."""


def is_ptychopinn(values: Values) -> bool:
    """Tell PtychoPINN's settings from ours.

    Examples
    --------
    >>> is_ptychopinn({"nepochs": 50, "batch_size": 16}), is_ptychopinn({"batch_size": 16})
    (True, False)
    """
    return any(name in values for name in ONLY_THEIRS)


def translate(values: Values) -> dict[str, Any]:
    """Turn PtychoPINN's fields into those of `TrainingConfig`.

    Parameters
    ----------
    values : mapping
        As read from their YAML.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        For a field that PtychoPINN does not have, or a value that cannot be had here; says why.

    Examples
    --------
    >>> found = translate({"model": {"gridsize": 2, "n_filters_scale": 1}, "nepochs": 30})
    >>> found["architecture"], found["num_channels"], found["filters"], found["epochs"]
    ('ptychopinn', 4, 1.0, 30)
    """
    nested = values.get(MODEL) or {}
    if not isinstance(nested, Mapping):
        raise ValueError(f"`model` is {nested!r}, expected PtychoPINN's model fields below it.")
    theirs = {name: value for name, value in values.items() if name != MODEL} | dict(nested)
    ours: dict[str, Any] = {"architecture": "ptychopinn", "loss": {}}
    for name, default in DEFAULTS.items():
        ours |= FIELDS[name].translate(default, theirs)
    for name, value in theirs.items():
        if name not in FIELDS:
            raise ValueError(
                f"`{name}` is no field of PtychoPINN's ModelConfig or TrainingConfig, but "
                f"`{next(each for each in ONLY_THEIRS if each in values)}` says that the file is "
                "PtychoPINN's; use the names of one of the two."
            )
        try:
            ours |= FIELDS[name].translate(value, theirs)
        except _RefusedError as error:
            raise ValueError(f"PtychoPINN's `{name}` is {value!r}; {error}") from None
    ours["loss"] = _losses(theirs)
    return ours


def _losses(theirs: Values) -> dict[str, float]:
    """Return their weighted sum: Poisson likelihood, and truth where a weight asks for it."""
    is_supervised = theirs.get("model_type", "pinn") == "supervised"
    real = float(theirs.get("realspace_weight", 0)) * float(theirs.get("realspace_mae_weight", 0))
    weights = {
        "poisson": 0.0 if is_supervised else float(theirs.get("nll_weight", 1)),
        "supervised": 1.0 if is_supervised else real,
    }
    return {name: weight for name, weight in weights.items() if weight > 0}


def _same(name: str) -> Field:
    return Field("the same", lambda value, _: {name: value})


def _renamed(name: str, kind: Callable[[Any], Any] = lambda value: value, note: str = "") -> Field:
    text = f"`{name}`" + (f"; {note}" if note else "")
    return Field(text, lambda value, _: {name: kind(value)})


def _in_the_loss(note: str) -> Field:
    return Field(note, lambda value, _: {})


def _only(accepted: Any, why: str) -> Field:
    """Return a field that is accepted at one value and refused at any other."""

    def translate(value: Any, _: Values) -> dict[str, Any]:
        if value != accepted:
            raise _RefusedError(f"only {accepted!r} is accepted: {why}.")
        return {}

    return Field(f"refused unless {accepted!r}: {why}", translate)


def _chosen(name: str, choices: Mapping[str, str], why: str) -> Field:
    def translate(value: Any, _: Values) -> dict[str, Any]:
        if value not in choices:
            raise _RefusedError(f"accepted are {', '.join(map(repr, choices))}: {why}.")
        return {name: choices[value]}

    pairs = ", ".join(f"{theirs!r} → {ours!r}" for theirs, ours in choices.items())
    return Field(f"`{name}`: {pairs}; others are refused: {why}", translate)


def _clipped(value: Any, _: Values) -> dict[str, Any]:
    return {"gradient_clip_norm": None if value is None else float(value)}


def _activation(value: Any, _: Values) -> dict[str, Any]:
    return {"amplitude_activation": value, "amplitude_max": 1.0}  # their sigmoid ends at 1


def _warm_up_end(value: Any, theirs: Values) -> dict[str, Any]:
    if theirs.get("scheduler") == "ReduceLROnPlateau":
        return {}
    return {"min_learning_rate": float(value) * float(theirs.get("learning_rate", 1e-3))}


def _plateau_end(value: Any, theirs: Values) -> dict[str, Any]:
    is_plateau = theirs.get("scheduler") == "ReduceLROnPlateau"
    return {"min_learning_rate": float(value)} if is_plateau else {}


_SAMPLING = "every epoch uses all patterns of the scans"
_OPERATORS = "this belongs to Fourier neural operators, which are not offered"
_FILES = "scans are named on the command line"
_MASK = "put the mask into the probe of the file"

FIELDS: dict[str, Field] = {
    # ModelConfig
    "N": _renamed("window_px", int, "checked against the patterns"),
    "gridsize": _renamed("num_channels", lambda g: int(g) ** 2, "C = gridsize²"),
    "n_filters_scale": _renamed("filters", float),
    "model_type": _in_the_loss("`loss`: 'pinn' → poisson, 'supervised' → supervised"),
    "architecture": _chosen("architecture", {"cnn": "ptychopinn"}, _OPERATORS),
    "amp_activation": Field("`amplitude_activation`, with `amplitude_max: 1`", _activation),
    "object_big": _only(True, "a group always agrees on one object"),
    "probe_big": _same("probe_big"),
    "pad_object": _same("pad_object"),
    "probe_mask": _only(False, _MASK),
    "probe_mask_sigma": _only(1.0, _MASK),
    "probe_mask_diameter": _only(None, _MASK),
    "probe_scale": _only(4.0, "the probe is brought to counts, so no factor is needed"),
    "gaussian_smoothing_sigma": _only(0.0, "exit waves are not blurred"),
    "fno_modes": _only(12, _OPERATORS),
    "fno_width": _only(32, _OPERATORS),
    "fno_blocks": _only(4, _OPERATORS),
    "fno_cnn_blocks": _only(2, _OPERATORS),
    "fno_input_transform": _only("none", _OPERATORS),
    "learned_input_channels": _only(1, _OPERATORS),
    "max_hidden_channels": _only(None, _OPERATORS),
    "resnet_width": _only(None, _OPERATORS),
    "generator_output_mode": _only("real_imag", _OPERATORS),
    # TrainingConfig
    "backend": _same("backend"),
    "batch_size": _same("batch_size"),
    "nepochs": _renamed("epochs"),
    "learning_rate": _same("learning_rate"),
    "nll_weight": _in_the_loss("weight of poisson in `loss`"),
    "mae_weight": _only(0, "there is no absolute amplitude loss; use `loss: amplitude`, squared"),
    "realspace_weight": _in_the_loss("times `realspace_mae_weight`: supervised in `loss`"),
    "realspace_mae_weight": _in_the_loss("times `realspace_weight`: supervised in `loss`"),
    "nphotons": _only(1e9, "the dose is that of the measured counts"),
    "probe_trainable": _renamed("trainable_probe"),
    "intensity_scale_trainable": _renamed("trainable_gain"),
    "train_data_file": _only(None, _FILES),
    "test_data_file": _only(None, _FILES),
    "output_dir": _only("training_outputs", "the run folder is named by `-o`"),
    "n_groups": _only(None, _SAMPLING),
    "n_images": _only(None, _SAMPLING),
    "n_subsample": _only(None, _SAMPLING),
    "subsample_seed": _only(None, _SAMPLING),
    "sequential_sampling": _only(False, _SAMPLING),
    "enable_oversampling": _only(False, "every pattern has one new group in each epoch"),
    "neighbor_pool_size": _only(None, "groups are square blocks of neighbours"),
    "neighbor_count": _only(4, "groups are square blocks of neighbours"),
    "positions_provided": _only(True, "a scan has positions"),
    "torch_loss_mode": _only("poisson", "name the loss by its weights"),
    "torch_mae_pred_l2_match_target": _only(False, "predictions are never rescaled"),
    "gradient_clip_val": Field("`gradient_clip_norm`", _clipped),
    "gradient_clip_algorithm": _only("norm", "gradients are shortened as a whole"),
    "optimizer": _chosen("optimizer", {"adam": "adam", "adamw": "adamw"}, "Adam trains these"),
    "momentum": _only(0.9, "Adam has no momentum besides β₁"),
    "weight_decay": _renamed("weight_decay", float),
    "adam_beta1": _only(0.9, "Adam's constants are fixed"),
    "adam_beta2": _only(0.999, "Adam's constants are fixed"),
    "scheduler": _chosen(
        "schedule",
        {
            "Default": "constant",
            "Exponential": "exponential",
            "WarmupCosine": "cosine",
            "ReduceLROnPlateau": "plateau",
        },
        "these never moved the rate there",
    ),
    "lr_warmup_epochs": _renamed("warmup_epochs"),
    "lr_min_ratio": Field("`min_learning_rate` = ratio · `learning_rate`", _warm_up_end),
    "plateau_factor": _same("plateau_factor"),
    "plateau_patience": _same("plateau_patience"),
    "plateau_min_lr": Field("`min_learning_rate`, with ReduceLROnPlateau", _plateau_end),
    "plateau_threshold": _only(0, "any improvement counts"),
}
"""Their field -> what it becomes."""

DEFAULTS: dict[str, Any] = {
    "n_filters_scale": 2,
    "amp_activation": "sigmoid",
    "nepochs": 50,
    "intensity_scale_trainable": True,
    "scheduler": "Default",
    "lr_min_ratio": 0.1,
    "plateau_patience": 2,
    "plateau_min_lr": 5e-5,
}
"""Their defaults, where they differ from ours; a file that leaves a field out means these."""
