"""Runs inside an environment with Ptychodus: read CXI files with its readers, and write them again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def strategy(chooser: Any) -> Any:
    return next(each.strategy for each in chooser if each.simple_name == "CXI")


def main(source: Path, target: Path) -> None:
    import numpy
    from ptychodus.api.plugins import PluginRegistry

    registry = PluginRegistry.load_plugins()
    dataset = strategy(registry.diffraction_file_readers).read(source)
    product = strategy(registry.product_file_readers).read(source)
    strategy(registry.diffraction_file_writers).write(target / "diffraction.cxi", dataset)
    strategy(registry.product_file_writers).write(target / "product.cxi", product)
    metadata, geometry = dataset.get_metadata(), product.object_.get_geometry()
    numpy.savez(
        target / "seen.npz",
        patterns=numpy.concatenate([each.get_patterns() for each in dataset]),
        bad_pixels=dataset.get_bad_pixels(),
        energies=[metadata.photon_energy_eV, product.metadata.photon_energy_eV],
        distances=[metadata.detector_distance_m, product.metadata.detector_distance_m],
        y_px=geometry.map_probe_positions_to_object_y_px(product.probe_positions),
        x_px=geometry.map_probe_positions_to_object_x_px(product.probe_positions),
        object=product.object_.get_array(),
        probe=product.probes.get_probe_no_opr().get_array(),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
