"""One small scan, one tiny model, and the order that a fleet would make of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fleet_orders import make_order

from ptychonyx.runtime.fleet.tasks import Order
from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.scan import Scan


@pytest.fixture
def scan_path(small_scan: Scan, tmp_path: Path) -> Path:
    save_scan(small_scan, tmp_path / "scan.npz")
    return tmp_path / "scan.npz"


@pytest.fixture
def model(model_path: Callable[..., Path]) -> Path:
    return model_path(window_px=32, patch_px=16)


@pytest.fixture
def order(scan_path: Path, model: Path, tmp_path: Path) -> Order:
    return make_order(scan_path, model, tmp_path / "out", "scan")
