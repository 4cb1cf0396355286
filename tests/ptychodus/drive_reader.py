"""Runs inside an environment with a Ptychodus of any age: read a product with its own readers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

READERS = {".h5": "HDF5", ".npz": "NPZ"}


def read(readers: Any, path: Path, arrays: Path) -> dict[str, Any]:
    import numpy

    product = readers[READERS[path.suffix]].read(path)
    geometry = product.object_.get_geometry()
    positions = getattr(product, "probe_positions", None) or product.positions
    metres = [
        [
            getattr(each, name, None) or getattr(each, f"coordinate_{name}")
            for name in ("y_m", "x_m")
        ]
        for each in positions
    ]
    numpy.savez(
        arrays,
        object=product.object_.get_array(),
        positions_m=metres,
        indexes=[each.index for each in positions],
        probe=product.probes.get_array(),
    )
    energy_eV = getattr(product.metadata, "photon_energy_eV", None)
    return {
        "name": product.metadata.name,
        "energy_eV": energy_eV or product.metadata.probe_energy_eV,
        "shape": [geometry.height_px, geometry.width_px],
        "center_m": [geometry.center_y_m, geometry.center_x_m],
        "pixel_m": [geometry.pixel_height_m, geometry.pixel_width_m],
    }


def main() -> None:
    from ptychodus.api.plugins import PluginRegistry

    chooser = PluginRegistry.load_plugins().product_file_readers
    readers = {plugin.simple_name: plugin.strategy for plugin in chooser}
    paths = [Path(word) for word in sys.argv[1:]]
    results = {path.name: read(readers, path, path.with_suffix(".arrays.npz")) for path in paths}
    print("RESULT", json.dumps(results))


if __name__ == "__main__":
    main()
