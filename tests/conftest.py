"""What all tests share: frameworks that may be missing, the real scan, small simulated scans."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
from model_files import model_path as model_path
from model_files import tiny_manifest as tiny_manifest
from model_files import tiny_model as tiny_model
from solver_files import solver_path as solver_path

from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan

FRAMEWORKS = {"tensorflow": "tensorflow", "pytorch": "torch"}
SHARED = Path(__file__).parents[2] / "shared" / "data" / "velociprobe_siemens_star"
FOREIGN = SHARED.parent / "foreign_models"


def pytest_runtest_setup(item: pytest.Item) -> None:
    required = os.environ.get("PTYCHONYX_REQUIRE", "").split(",")
    for name, module in FRAMEWORKS.items():
        if item.get_closest_marker(name) and importlib.util.find_spec(module) is None:
            if name in required:
                pytest.fail(f"{module} is not installed, but PTYCHONYX_REQUIRE names {name}")
            pytest.skip(f"{module} is not installed")


@pytest.fixture
def star() -> Path:
    """Folder of the real scan."""
    if not SHARED.is_dir():
        pytest.skip(f"the real scan is not here ({SHARED})")
    return SHARED


@pytest.fixture
def foreign_models() -> Path:
    """Folder of networks that other projects trained."""
    if not FOREIGN.is_dir():
        pytest.skip(f"the networks of other projects are not here ({FOREIGN})")
    return FOREIGN


@pytest.fixture(scope="session")
def small_scan() -> Scan:
    """A simulated scan of 40 patterns of 32×32."""
    spec = SimulationOptions(num_patterns=40, window_px=32, step_px=4, counts_per_pattern=1e5)
    return simulate_scan(spec, np.random.default_rng(0))
