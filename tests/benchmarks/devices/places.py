"""Where `make gpu` finds and leaves things."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[3]
BUILD = ROOT / "build" / "gpu"
RECORD = BUILD / "table.json"
CACHE = BUILD / "cache"
"""Of TensorRT's engines, empty at the start: the first start must build one."""
SMALL = tuple(sorted((ROOT / "tests" / "models").glob("*/model.onnx")))
SOURCES = tuple(
    str(ROOT / name)
    for name in ("runtime", "export", "training", "tests", "tests/benchmarks", ".ci")
)


def untrained(side: int) -> Path:
    """Return where the untrained network for N×N patterns lies, once it was made."""
    return BUILD / f"untrained-{side}.onnx"
