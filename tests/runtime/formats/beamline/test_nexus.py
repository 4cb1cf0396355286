"""NXcxi_ptycho: the photons' energy, not the ring's; motors or a table, in any unit."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest
from beamline_files import assert_is, experiment_of, star_experiment, write_nexus

from ptychonyx.runtime import load_scan
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.scan import Scan


def test_the_star_as_nexus(star: Path, tmp_path: Path) -> None:
    made = star_experiment(star)
    write_nexus(tmp_path / "scan.nxs", made)
    assert_is(load_scan(tmp_path / "scan.nxs"), made)


def test_positions_in_a_table(small_scan: Scan, tmp_path: Path) -> None:
    made = experiment_of(small_scan)
    write_nexus(tmp_path / "scan.nxs", made, motors=False)
    assert_is(load_scan(tmp_path / "scan.nxs"), made)


def test_the_ring_is_never_the_beam(small_scan: Scan, tmp_path: Path) -> None:
    write_nexus(tmp_path / "scan.nxs", experiment_of(small_scan))
    with h5py.File(tmp_path / "scan.nxs", "r+") as file:
        beam = file["entry_1/instrument_1/beam_1"]
        beam["incident_beam_energy"] = beam["energy"][()]
        beam["incident_beam_energy"].attrs["units"] = "keV"
        del beam["energy"]
    assert load_scan(tmp_path / "scan.nxs").photon_energy_eV == pytest.approx(8800)
    with h5py.File(tmp_path / "scan.nxs", "r+") as file:
        del file["entry_1/instrument_1/beam_1"]
    with pytest.raises(
        ScanError, match=r"\(NXcxi_ptycho\) are in metres, and the photon energy are"
    ):
        load_scan(tmp_path / "scan.nxs")
