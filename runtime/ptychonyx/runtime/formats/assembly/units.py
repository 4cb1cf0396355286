"""Units of lengths and energies as files write them, and what follows from both."""

from __future__ import annotations

from ...errors import ScanError
from ...scan import PLANCK_TIMES_LIGHT_EV_M

JOULE_OF_EV = 1.602176634e-19
"""Exact since 2019."""
LENGTHS_M = {
    "m": 1.0,
    "mm": 1e-3,
    "um": 1e-6,
    "nm": 1e-9,
    "pm": 1e-12,
    "angstrom": 1e-10,
}
ENERGIES_EV = {"ev": 1.0, "kev": 1e3, "mev": 1e6, "gev": 1e9, "j": 1 / JOULE_OF_EV}
SPELLINGS = {
    "µm": "um",  # the micro sign
    "μm": "um",  # the Greek letter
    "micron": "um",
    "microns": "um",
    "micrometer": "um",
    "micrometre": "um",
    "meter": "m",
    "metre": "m",
    "meters": "m",
    "metres": "m",
    "millimeter": "mm",
    "millimetre": "mm",
    "nanometer": "nm",
    "nanometre": "nm",
    "å": "angstrom",
    "a": "angstrom",
    "joule": "j",
    "joules": "j",
    "electronvolt": "ev",
}
"""Other words for a unit, in small letters."""


def length_factor(unit: str, what: str) -> float:
    """Return how many metres a unit of length is.

    Parameters
    ----------
    unit : str
    what : str
        Names what has the unit, for errors.

    Raises
    ------
    ScanError
        For an unknown unit.

    Examples
    --------
    >>> length_factor("µm", "x"), length_factor("mm", "x")
    (1e-06, 0.001)
    """
    return _factor(unit, what, LENGTHS_M)


def energy_factor(unit: str, what: str) -> float:
    """Return how many eV a unit of energy is.

    Examples
    --------
    >>> energy_factor("keV", "energy")
    1000.0
    """
    return _factor(unit, what, ENERGIES_EV)


def _factor(unit: str, what: str, known: dict[str, float]) -> float:
    word = unit.strip().lower()
    factor = known.get(SPELLINGS.get(word, word))
    if factor is None:
        raise ScanError(
            f"{what} has the unit {unit!r}; known are: {', '.join(known)}: say another unit in a map "
            "(`--map`)."
        )
    return factor


def wavelength_m(photon_energy_eV: float) -> float:
    """Return the wavelength of photons.

    Examples
    --------
    >>> round(wavelength_m(12398.41984) * 1e10, 9)
    1.0
    """
    return PLANCK_TIMES_LIGHT_EV_M / photon_energy_eV


def object_pixel_m(
    photon_energy_eV: float,
    detector_distance_m: float,
    detector_pixel_m: tuple[float, float],
    window_px: int,
) -> tuple[float, float]:
    """Return the object's pixel (y, x) in the far field: wavelength · distance / (N · pixel).

    Examples
    --------
    >>> y, x = object_pixel_m(8800.0, 2.0, (75e-6, 75e-6), 64)
    >>> round(x * 1e9, 3)
    58.705
    """
    length = wavelength_m(photon_energy_eV) * detector_distance_m
    y, x = (length / (window_px * side_m) for side_m in detector_pixel_m)
    return y, x
