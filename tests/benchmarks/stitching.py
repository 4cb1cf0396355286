"""Stitching: accuracy against speed of the ways to bring a patch to fractional pixels.

The truth is a sum of 200 equal plane waves, |f| ≤ 0.35 cycles/px, which can be evaluated anywhere, so
patches of 64×64 are exact at any corner. The error is the relative RMSE of covered pixels at least 64 px
from the edge.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import plain_stitching
from numpy.typing import NDArray
from performance import FIGURES, ROOT, remake, remember, spread, table, write_section

from ptychonyx.runtime.formats import load_scan
from ptychonyx.runtime.stitching.mosaic import Mosaic
from ptychonyx.runtime.stitching.patches import Canvas, canvas_for, cut_patches, patch_weights

PATCH_PX, SIDE_PX, EDGE_PX, MARGIN_PX = 64, 320, 64, 24
NUM_TURNS = 5
DEFAULT = "windowed sinc, 8 taps (default)"
SCANS = {
    "random, 28": ("random", 28, 0.0),
    "random, 7": ("random", 7, 0.0),
    "raster, 28": ("raster", 28, 0.0),
    "raster, 7": ("raster", 7, 0.0),
    "random, 28, noise": ("random", 28, 0.1),
}
"""Name -> positions, overlaps, noise of each real and imaginary part; the truth has 1 rms."""

STAR = ROOT.parent / "shared" / "data" / "velociprobe_siemens_star"
STEPS = {"all 516": 1, "every 13th": 13}
BEFORE = {
    (64, "all 516"): ((0.0100, 0.5551, 0.0541, 3.8387), (0.0016, 0.0597, 0.0260, 0.5632)),
    (64, "every 13th"): ((0.0202, 0.9790, 0.0613, 2.5535), (0.0024, 0.0566, 0.0285, 0.4366)),
    (128, "all 516"): ((0.0016, 0.0644, 0.0085, 0.2122), (0.0005, 0.0305, 0.0080, 0.1817)),
    (128, "every 13th"): ((0.0031, 0.0928, 0.0118, 0.2746), (0.0008, 0.0191, 0.0109, 0.1601)),
}
"""Window, positions -> `star_errors` where weights, too, went through the sinc."""

Truth = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.complex128]]


def plane_waves(rng: np.random.Generator) -> Truth:
    num = 200
    angle, frequency = rng.uniform(0, 2 * np.pi, num), 0.35 * np.sqrt(rng.uniform(0, 1, num))
    start = rng.uniform(0, 2 * np.pi, num)[:, None]

    def evaluate(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.complex128]:
        down = np.exp(2j * np.pi * np.outer(frequency * np.sin(angle), y) + 1j * start)
        across = np.exp(2j * np.pi * np.outer(frequency * np.cos(angle), x))
        return np.asarray(down.T @ across / np.sqrt(num))

    return evaluate


def corners(positions: str, overlaps: int, rng: np.random.Generator) -> NDArray[np.float64]:
    end = SIDE_PX - PATCH_PX - MARGIN_PX
    if positions == "random":
        count = round(overlaps * (end - MARGIN_PX) ** 2 / PATCH_PX**2)
        return rng.uniform(MARGIN_PX, end, (count, 2))
    axis = np.arange(MARGIN_PX + 0.3, end, PATCH_PX / np.sqrt(overlaps))
    return np.stack(np.meshgrid(axis, axis + 0.21, indexing="ij"), -1).reshape(-1, 2)


class Plain:
    """A canvas for one of the plain versions, with weights on every patch."""

    def __init__(self, place: Callable[..., None], weights: NDArray[np.float64]) -> None:
        self._place, self._weights = place, weights.astype(np.float32)
        self.total = np.zeros((SIDE_PX, SIDE_PX), np.complex64)
        self.weight = np.zeros((SIDE_PX, SIDE_PX), np.complex64)

    def add(self, patches: NDArray[np.complex64], corners_px: NDArray[np.float64]) -> None:
        unused = np.zeros_like(self.weight)
        for patch, corner in zip(patches, corners_px, strict=True):
            self._place(self.total, unused, self._weights * patch, corner)
            self._place(self.weight, unused, self._weights, corner)

    def object_(self) -> NDArray[np.complex128]:
        weight = self.weight.real.astype(np.float64)
        total = self.total.astype(np.complex128)
        return np.asarray(np.where(weight > 1e-3, total, 0) / np.maximum(weight, 1e-3), complex)


def divided(object_: NDArray[np.complex128], transfer: NDArray[np.complex128]) -> Any:
    """Divide a canvas by the mean transfer function of its scan, by no less than 0.3."""
    gain = np.where(abs(transfer) > 0.3, 1 / transfer, 1 / 0.3)
    return np.fft.ifft2(np.fft.fft2(object_) * gain)


def mean_transfer(corners_px: NDArray[np.float64], is_linear: bool) -> NDArray[np.complex128]:
    """Return what placing at whole pixels, on average over a scan, does to each frequency."""
    frequency = np.fft.fftfreq(SIDE_PX)
    fractions = corners_px - np.floor(corners_px)
    upper = fractions if is_linear else (fractions >= 0.5).astype(float)
    one_px = np.exp(-2j * np.pi * frequency)
    axes = [
        (1 - upper[:, i, None] + upper[:, i, None] * one_px)
        * np.exp(2j * np.pi * np.outer(fractions[:, i], frequency))
        for i in range(2)
    ]
    return np.asarray(np.einsum("ky,kx->yx", *axes) / len(corners_px))


def errors(positions: str, overlaps: int, noise: float, window: str) -> dict[str, float]:
    rng = np.random.default_rng(0)
    truth = plane_waves(rng)
    corners_px, within = corners(positions, overlaps, rng), np.arange(PATCH_PX)
    exact = np.stack([truth(y + within, x + within) for y, x in corners_px])
    exact += noise * (rng.normal(size=exact.shape) + 1j * rng.normal(size=exact.shape))
    patches = exact.astype(np.complex64)
    flat = np.ones((PATCH_PX, PATCH_PX))
    weights = patch_weights(None, PATCH_PX) if window == "Hann" else flat
    found: dict[str, Any] = {}
    for name in ("nearest", "bilinear", "fourier"):
        canvas = Plain(getattr(plain_stitching, name), weights)
        canvas.add(patches, corners_px)
        found[NAMES[name]] = canvas.object_()
    for name in ("nearest", "bilinear"):
        transfer = mean_transfer(corners_px, is_linear=name == "bilinear")
        found[f"{NAMES[name]} / transfer"] = divided(found[NAMES[name]], transfer)
    mosaic = Mosaic(Canvas((SIDE_PX, SIDE_PX), (0, 0)), weights)
    mosaic.add(patches, corners_px)
    stitched = mosaic.finish()
    found[DEFAULT] = stitched.object_
    inside = stitched.coverage > 0  # random positions leave a hole here and there
    inside[:EDGE_PX], inside[-EDGE_PX:], inside[:, :EDGE_PX], inside[:, -EDGE_PX:] = 4 * (False,)
    expected = truth(np.arange(float(SIDE_PX)), np.arange(float(SIDE_PX)))[inside]
    return {
        name: float(np.linalg.norm(object_[inside] - expected) / np.linalg.norm(expected))
        for name, object_ in found.items()
    }


NAMES = {"nearest": "nearest pixel", "bilinear": "bilinear", "fourier": "Fourier shift"}
METHODS = (*NAMES.values(), "nearest pixel / transfer", "bilinear / transfer", DEFAULT)


def raster(side_px: int, count: int) -> NDArray[np.float64]:
    """Return corners of a raster of 28 overlaps somewhere on a canvas, with random fractions."""
    step_px = PATCH_PX / 28**0.5
    columns = int((side_px - PATCH_PX - 2 * MARGIN_PX) / step_px)
    rows, places = np.divmod(np.arange(count), columns)
    top = (side_px - PATCH_PX - rows.max() * step_px) / 2
    regular = np.stack([top + rows * step_px, MARGIN_PX + places * step_px], axis=1)
    return regular + np.random.default_rng(0).uniform(0, 1, regular.shape)


def speed(make: Callable[[], Any], corners_px: NDArray[np.float64]) -> float:
    """Return µs a patch, added in batches of 64."""
    rng = np.random.default_rng(0)
    shape = (64, PATCH_PX, PATCH_PX)
    patches = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    canvas = make()
    canvas.add(patches, corners_px[:64])  # warm
    started = time.perf_counter()
    for start in range(0, len(corners_px), 64):
        canvas.add(patches, corners_px[start : start + 64])
    return 1e6 * (time.perf_counter() - started) / len(corners_px)


def mosaic_of(side_px: int) -> Mosaic:
    return Mosaic(Canvas((side_px, side_px), (0, 0)), patch_weights(None, PATCH_PX))


def speeds() -> dict[str, list[float]]:
    weights = patch_weights(None, PATCH_PX)
    makers: dict[str, Callable[[], Any]] = {
        name: partial(Plain, getattr(plain_stitching, key), weights) for key, name in NAMES.items()
    }
    makers[DEFAULT] = partial(mosaic_of, SIDE_PX)
    corners_px = corners("random", 28, np.random.default_rng(0))[:256]
    times: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(NUM_TURNS):
        for name, make in makers.items():
            times[name].append(speed(make, corners_px))
    return times


def sizes() -> dict[str, dict[str, list[float]]]:
    """Return µs a patch in a raster, and ms to finish, for canvases of several sizes."""
    found: dict[str, dict[str, list[float]]] = {}
    for side_px in (512, 1024, 2048, 4096):
        found[str(side_px)] = {"add": [], "finish": []}
    for _ in range(NUM_TURNS):
        for side, times in found.items():
            times["add"].append(speed(partial(mosaic_of, int(side)), raster(int(side), 1024)))
            mosaic = mosaic_of(int(side))
            started = time.perf_counter()
            mosaic.finish()
            times["finish"].append(1e3 * (time.perf_counter() - started))
    return found


def star_errors(window_px: int, step: int) -> list[list[float]]:
    """Return errors with the star's beam and with Hann's weights, at corners of the star.

    They are rms and largest of exact patches of waves, then of the reference object with noise.
    """
    scan = load_scan(STAR / f"siemens{window_px}.npz", quantity="counts")
    reference = np.load(STAR / f"siemens{window_px}_reference_3modes.npz")
    canvas, patch_px = canvas_for(scan), window_px // 2
    corners_px = scan.corners_px[::step] + (window_px - patch_px) // 2
    rng, within = np.random.default_rng(0), np.arange(patch_px)
    waves = plane_waves(rng)

    def transmission(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.complex128]:
        return 1 + 0.1 * waves(y / 1.75, x / 1.75)  # up to 0.2 cycles/px, 1.3 at the most

    exact = np.stack([transmission(y + within, x + within) for y, x in corners_px])
    noise = rng.normal(size=exact.shape) + 1j * rng.normal(size=exact.shape)
    noisy = cut_patches(reference["object"], corners_px, patch_px) + 0.01 / 2**0.5 * noise
    truths = (
        (exact, transmission(*(np.arange(float(side)) for side in canvas.shape))),
        (noisy, reference["object"]),
    )
    found: list[list[float]] = []
    for probe in (reference["probe_modes"], None):
        found.append([])
        for patches, truth in truths:
            mosaic = Mosaic(canvas, patch_weights(probe, patch_px))
            mosaic.add(patches.astype(np.complex64), corners_px)
            stitched = mosaic.finish()
            error = np.abs(stitched.object_ - truth)[stitched.coverage > 0]
            found[-1] += [float(np.sqrt(np.mean(error**2))), float(error.max())]
    return found


def star_table() -> str:
    if not STAR.is_dir():
        return ""
    rows = []
    for (window_px, positions), before in BEFORE.items():
        key = f"star, {window_px}, {positions}"
        now = remember(__file__, key, partial(star_errors, window_px, STEPS[positions]))
        for name, one_before, one_now in zip(("beam", "Hann"), before, now, strict=True):
            figures = [
                f"{old:.4f} → {new:.4f}" for old, new in zip(one_before, one_now, strict=True)
            ]
            rows.append((f"{name}, N = {window_px}", positions, *figures))
    return "\n".join(
        [
            "Patches at the corners of the Siemens star, by the intensity of its beam of three modes or by a "
            "Hann window: exact patches of a transmission of 1 with waves up to 0.2 cycles/px, at most 1.3; "
            "and patches of the star's reference object (mean 1), with noise of 1 %. Absolute errors of all "
            "covered pixels, before → since weights lie on whole pixels and no longer go through the sinc.\n",
            table(
                ("weights", "positions", "waves, rms", "largest", "reference, rms", "largest"), rows
            ),
            "Rough weights ring through a sinc, and their quotient left the range of the patches, most where "
            "one patch or two lie. Now each pixel is a convex mean of shifted patches. In turns with the "
            "version before, `Mosaic.add` and `finish` together take 1.00 times as long "
            "(median of 31 turns on one core; 0.99 to 1.02 for patches of 32 to 128 px). What a network "
            "errs by is larger than either: the residual of `small-pytorch` on 600 simulated patterns "
            "stays 0.67 %, and its largest amplitude falls from 1.10 to 1.03.\n",
        ]
    )


def section() -> str:
    accuracy = {
        (scan, window): remember(
            __file__, f"{scan}, {window}", partial(errors, *SCANS[scan], window)
        )
        for scan in SCANS
        for window in ("Hann", "equal")
    }
    found, grown = remember(__file__, "speeds", speeds), remember(__file__, "sizes", sizes)
    middle = {name: statistics.median(values) for name, values in found.items()}
    slower = middle[NAMES["fourier"]] / middle[DEFAULT]
    draw(middle, accuracy)
    return "\n".join(
        [
            f"## Stitching\n\n{remake(__file__)}",
            "Relative error on band-limited truth (200 plane waves, |f| ≤ 0.35 cycles/px), patches of "
            "64×64, by positions and mean number of overlaps. Patches count by a Hann window, as where "
            "no probe is known, and in the second table all pixels alike.\n",
            *(
                table(
                    (f"weights: {window}", *SCANS),
                    [
                        (name, *(f"{accuracy[scan, window][name]:.4f}" for scan in SCANS))
                        for name in METHODS
                    ],
                )
                for window in ("Hann", "equal")
            ),
            "With noise of 0.14 rms, all methods that are exact enough meet at the noise that is left "
            "after averaging. Division by the mean transfer function helps only where fractions are "
            "random and many patches overlap. With equal weights the edges of patches, where a shift "
            "has to guess what lies beyond, count as much as their middles; the runtime's weights fade "
            "out there.\n",
            star_table(),
            table(
                ("µs a patch, with its weights", "median"),
                [(name, spread(values, 0)) for name, values in found.items()],
            ),
            "![Error against time](performance/stitching.png)\n",
            "The default is the only one within 1 % on all four scans; a Fourier shift of weights and "
            f"patches, which takes {slower:.0f} times as long, rings where few patches lie. The default "
            "also tells how far patches disagree. The others in this table are plain versions of our "
            "own, one patch after the other.\n",
            table(
                ("canvas", "`Mosaic.add`, µs a patch", "`finish`, ms"),
                [
                    (f"{side}×{side}", spread(times["add"], 1), spread(times["finish"], 0))
                    for side, times in grown.items()
                ],
            ),
            "One process; matrix products this small stay on one core. About a third of the time are the "
            "products, a third weighting and squaring, a fifth the addition to the canvas; memory is no "
            "bound, since a patch and the canvas below it stay in the cache. Summed weights depend on "
            "positions only and come from one convolution in `finish`.\n",
        ]
    )


def draw(us: dict[str, float], accuracy: dict[tuple[str, str], dict[str, float]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, time_us in us.items():
        values = [accuracy[scan, "Hann"][name] for scan in SCANS if "noise" not in scan]
        (line,) = axes.loglog([time_us] * len(values), values, "o", label=name)
        corrected = f"{name} / transfer"
        if corrected in METHODS:
            values = [accuracy[scan, "Hann"][corrected] for scan in SCANS if "noise" not in scan]
            axes.loglog(
                [time_us] * len(values), values, "x", color=line.get_color(), label=corrected
            )
    axes.set(xlabel="µs a patch of 64×64", ylabel="relative error, four scans")
    axes.legend(fontsize=8)
    FIGURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURES / "stitching.png", dpi=100)


if __name__ == "__main__":
    write_section(__file__, section())
