"""The words that options take, so that they are listed, completed and checked at once.

What knows them, the runtime and training, takes longer to import than `--help` may; a test holds
these lists against theirs.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal


class Provider(StrEnum):
    """Execution providers; an enumeration, since an option that repeats takes no other list."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"
    OPENVINO = "openvino"


PatchWeights = Literal["probe", "hann"]
Subpixel = Literal["sinc", "nearest"]
Noise = Literal["amplitude", "unbiased", "poisson"]
PositionFreedom = Literal["rigid", "affine", "free"]
ProbeScale = Literal["keep", "fit"]
Quantity = Literal["counts", "amplitude"]
Origin = Literal["corner", "center", "ptychodus"]
PatternAxis = Literal["first", "last"]
Flip = Literal["y", "x", "yx", "t", "ty", "tx", "tyx"]
Negation = Literal["y", "x", "yx"]
ScanFormat = Literal["ptychopinn", "ptychodus", "ptychodus-training", "cxi"]
Backend = Literal["tensorflow", "pytorch"]
Loss = Literal["poisson", "amplitude", "supervised", "total_variation"]
Strategy = Literal["auto", "mirrored", "multi_worker_mirrored", "ddp", "fsdp"]
ForeignInput = Literal["amplitude", "intensity", "log"]
ForeignOutput = Literal[
    "phase", "amplitude", "amplitude-phase", "phase-amplitude", "real-imaginary"
]
DerivedPrecision = Literal["float16", "bfloat16", "int8"]
Object = Literal["lines", "blurred_lines", "dead_leaves", "gaussian_random_field", "natural"]
SimulatedProbe = Literal["focused", "gaussian"]
Positions = Literal["raster", "spiral", "random"]
