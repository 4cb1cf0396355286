"""Runs inside an environment with a Ptychodus of any age: read CXI files with its readers.

Releases from 1.6 on read both halves and write them again; older ones read patterns, positions and the
first probe apart.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def strategy(chooser: Any) -> Any:
    """Return what reads or writes CXI, or None where the release has nothing."""
    return next((each.strategy for each in chooser if each.simple_name == "CXI"), None)


def energy_eV(metadata: Any) -> float:
    named = getattr(metadata, "photon_energy_eV", None)
    return float(metadata.probe_energy_eV if named is None else named)


def metres(positions: Any) -> list[list[float]]:
    points = list(positions)
    prefix = "" if hasattr(points[0], "y_m") else "coordinate_"
    return [[getattr(each, f"{prefix}{axis}_m") for axis in "yx"] for each in points]


def whole(registry: Any, source: Path, target: Path, dataset: Any) -> dict[str, Any]:
    """Read object and probe, too, and write both halves."""
    product = strategy(registry.product_file_readers).read(source)
    strategy(registry.diffraction_file_writers).write(target / "diffraction.cxi", dataset)
    strategy(registry.product_file_writers).write(target / "product.cxi", product)
    geometry = product.object_.get_geometry()
    return {
        "bad_pixels": dataset.get_bad_pixels(),
        "product_energy_eV": energy_eV(product.metadata),
        "product_distance_m": product.metadata.detector_distance_m,
        "positions_m": metres(product.probe_positions),
        "center_m": [geometry.center_y_m, geometry.center_x_m],
        "pixel_m": [geometry.pixel_height_m, geometry.pixel_width_m],
        "object": product.object_.get_array(),
        "probe": product.probes.get_array(),
    }


def parts(registry: Any, source: Path) -> dict[str, Any]:
    positions = strategy(registry.probe_position_file_readers).read(source)
    probe = strategy(registry.probe_file_readers).read(source)
    return {"positions_m": metres(positions), "probe": probe.get_array()}


def main(source: Path, target: Path) -> None:
    import numpy
    from ptychodus.api.plugins import PluginRegistry

    registry = PluginRegistry.load_plugins()
    dataset = strategy(registry.diffraction_file_readers).read(source)
    metadata = dataset.get_metadata()
    writers = getattr(registry, "product_file_writers", ())
    found = (
        parts(registry, source)
        if strategy(writers) is None
        else whole(registry, source, target, dataset)
    )
    arrays = [each.get_patterns() if hasattr(each, "get_patterns") else each for each in dataset]
    numpy.savez(
        target / "seen.npz",
        patterns=numpy.concatenate(arrays),
        energy_eV=energy_eV(metadata),
        distance_m=metadata.detector_distance_m,
        **found,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
