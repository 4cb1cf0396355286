"""The file of an exported model: where it may lie, and how it is tried and written."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import onnx

from ptychonyx.runtime.files import Output, check_outputs, temporary_folder, write_atomically
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.model.solver import SolverModel

Opened = TypeVar("Opened", bound=Model | SolverModel)


def check_output(output: Path) -> None:
    """Refuse a name or place that cannot become a model file.

    Raises
    ------
    ValueError
        If the name does not end in .onnx, the folder does not exist, or nothing can be written there.

    Examples
    --------
    >>> check_output(Path("model.pt"))
    Traceback (most recent call last):
    ...
    ValueError: The model file is model.pt; its name must end in .onnx.
    """
    check_outputs([], [model_output(output)])


def model_output(output: Path) -> Output:
    """Return a model file as `check_outputs` takes it."""
    return Output(output, (".onnx",), what="model file")


def open_before_writing(model: onnx.ModelProto, output: Path, kind: type[Opened]) -> Opened:
    """Open a model on the CPU as it will be opened from its file, before that file exists.

    The session reads a temporary file beside `output`, which is deleted at once. `kind` is `Model` or
    `SolverModel`.
    """
    with temporary_folder(output) as folder:
        temporary = folder / output.name
        write_model(model, temporary)
        return kind(temporary, provider="cpu")


def write_model(model: onnx.ModelProto, output: Path) -> None:
    """Write a model file, whole or not at all; equal models give equal bytes."""
    data = model.SerializeToString(deterministic=True)
    write_atomically(output, lambda file: file.write(data))
