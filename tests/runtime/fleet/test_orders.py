"""What decides a product, so that it is made again when that changes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ptychonyx.runtime.fleet.orders import choices_of, make_orders
from ptychonyx.runtime.fleet.tasks import Order
from ptychonyx.runtime.formats.options import ScanOptions
from ptychonyx.runtime.turns import Turn

pytest.importorskip("onnx", reason="model files are built with the onnx package")


def test_a_product_depends_on_how_its_scan_is_read_and_turned(order: Order) -> None:
    ways = [
        order,
        dataclasses.replace(order, turn=Turn(flip="x")),
        dataclasses.replace(order, turn=Turn(swap_positions=True)),
        dataclasses.replace(order, scan_options=ScanOptions("counts", crop_px=16)),
    ]
    assert len({str(choices_of(each)) for each in ways}) == len(ways)


def test_a_product_depends_on_its_map(order: Order, scan_path: Path, tmp_path: Path) -> None:
    map_path = tmp_path / "map.yaml"
    mapped = dataclasses.replace(order, scan_options=ScanOptions("counts", map_path=map_path))
    found = []
    for text in ("patterns: diff3d\n", "patterns: diff3d\nprobe: probeGuess\n"):
        map_path.write_text(text)
        (made,) = make_orders([scan_path], mapped)
        found.append(made.fingerprint)
    assert str(map_path) in found[0]["files"]
    assert found[0] != found[1]
