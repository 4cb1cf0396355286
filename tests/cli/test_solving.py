"""Scans are solved without a model, or after a network, and what was decided is said."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from ptychonyx import runtime
from ptychonyx.cli import app
from ptychonyx.cli.options.solving import seconds_from_text, show_passes
from ptychonyx.runtime import compare_objects, load_object
from ptychonyx.runtime.formats import load_product, save_scan
from ptychonyx.runtime.product import Product
from ptychonyx.runtime.scan import Scan


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "200"})
    if isinstance(result.exception, ValueError):  # as `main` has it
        assert code == 2, result.exception
        return str(result.exception)
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


@pytest.fixture
def scan(small_scan: Scan, tmp_path: Path) -> list[object]:
    """Words of the command that name a scan and a product."""
    save_scan(small_scan, tmp_path / "scan.npz")
    return [tmp_path / "scan.npz", "--quantity", "counts", "-o", tmp_path / "product.h5"]


@pytest.fixture
def model(model_path: Callable[..., Path]) -> Path:
    pytest.importorskip("onnxruntime", reason="models run on onnxruntime")
    return model_path(window_px=32, patch_px=16)


def test_a_scan_is_solved_inspected_and_compared(scan: list[object], tmp_path: Path) -> None:
    text = run("reconstruct", *scan, "--passes", 4, "--noise", "poisson")
    product = load_product(tmp_path / "product.h5")
    assert (product.metadata["method"], product.metadata["noise"]) == ("passes", "poisson")
    assert "40 of 40 patterns" in text
    assert "by passes" in text
    assert "4 passes: the passes asked for are done." in text
    assert f"{100 * float(product.metadata['residual']):.2f} % of the measured" in text
    rows = run("inspect", tmp_path / "product.h5")
    for row, value in {"method": "passes", "passes": "4", "stopped": "asked for"}.items():
        assert re.search(rf"│ {row} +│.*{value}", rows)
    assert "residual" in rows
    compared = run("compare", tmp_path / "product.h5", tmp_path / "scan.npz", "--json")
    assert float(re.findall(r'"phase_pearson": ([0-9.]+)', compared)[0]) > 0.5


def test_passes_run_on_a_provider_that_is_named(scan: list[object], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="providers are those of onnxruntime")
    text = run("reconstruct", *scan, "--passes", 2, "--provider", "cpu")
    assert "by passes on CPUExecutionProvider" in text
    rows = run("inspect", tmp_path / "product.h5")
    assert re.search(r"│ passes on +│ *CPUExecutionProvider", rows)


def test_the_number_of_passes_is_found(scan: list[object]) -> None:
    text = run("reconstruct", *scan)
    assert "pixels that were held back bear no more" in text or "all passes were made" in text


def test_a_budget_below_one_pass_is_refused(scan: list[object]) -> None:
    text = run("reconstruct", *scan, "--budget", "0.0001s", code=2)
    assert "The budget of 0.0001 s is below one pass" in text
    assert not Path(str(scan[-1])).exists()


def test_passes_go_on_from_a_product_with_another_probe(scan: list[object], tmp_path: Path) -> None:
    run("reconstruct", *scan, "--passes", 6)
    first = tmp_path / "product.h5"
    again = [*scan[:-1], tmp_path / "again.h5"]
    more = ("--refine-probe", "--modes", 2, "--probe-scale", "fit")
    run("reconstruct", *again, "--passes", 2, "--start", first, "--probe", first, *more)
    product, before = load_product(tmp_path / "again.h5"), load_product(first)
    assert product.metadata["probe_source"] == "given"
    assert product.metadata["probe_refined"] is True
    assert product.probe.shape == (2, 32, 32)
    assert product.metadata["start"] == before.name


def test_a_start_saves_passes(scan: list[object], tmp_path: Path) -> None:
    run("reconstruct", *scan, "--passes", 6)
    again = [*scan[:-1], tmp_path / "again.h5"]
    run("reconstruct", *again, "--passes", 1, "--start", tmp_path / "product.h5")
    before, after = (load_product(tmp_path / f"{name}.h5") for name in ("product", "again"))
    assert before.pass_residuals is not None
    assert after.pass_residuals is not None
    assert after.pass_residuals[0] < 0.5 * before.pass_residuals[0]


def test_a_network_that_does_not_fit_is_told_from_its_passes(
    scan: list[object], model: Path, tmp_path: Path
) -> None:
    text = run("reconstruct", *scan, "-m", model, "--refine", 3)
    metadata = load_product(tmp_path / "product.h5").metadata
    assert metadata["method"] == "network and passes"
    assert "covered, on cpu, " in text
    assert f"network's result left {100 * float(metadata['network_residual']):.2f} %" in text
    assert "This network does not fit the scan: the passes made the result." in text


@pytest.mark.parametrize(
    ("factor", "flags", "sentence"),
    [
        (1.0, (), None),
        (4.0, (), r"carries 4(\.\d+)? times the counts: taken as absorption, mean \|O\| 0\.\d\d; "),
        (4.0, ("--probe-scale", "fit"), r"power \(4(\.\d+)? times the counts\) was fitted"),
        (100.0, (), r"power \(1?\d\d times the counts\) was fitted"),
        (0.1, (), r"power \(0\.\d+ times the counts\) was fitted"),
    ],
)
def test_what_was_decided_about_the_probes_power_is_said(
    factor: float,
    flags: tuple[str, ...],
    sentence: str | None,
    small_scan: Scan,
    scan: list[object],
    tmp_path: Path,
) -> None:
    assert small_scan.probe is not None
    power = float(np.sum(np.abs(small_scan.probe) ** 2))
    counts = float(small_scan.patterns[:].sum()) / small_scan.num_patterns
    np.save(tmp_path / "probe.npy", small_scan.probe * np.sqrt(factor * counts / power))
    text = run("reconstruct", *scan, "--passes", 1, "--probe", tmp_path / "probe.npy", *flags)
    if sentence is None:
        assert "times the counts" not in text
    else:
        assert re.search(sentence, text)


WRONG: dict[str, tuple[tuple[object, ...], str]] = {
    "no time": (("--budget", "soon"), "`--budget` is 'soon'"),
    "no positive time": (("--budget", "0s"), "`--budget` is '0s'"),
    "a negative time": (("--budget=-1s",), "`--budget` is '-1s'"),
    "no number of passes": (("--passes", "many"), "`passes` is 'many'; give a number"),
    "no passes": (("--passes", "0"), "`passes` is 0"),
    "too many modes": (("--modes", "9"), "`num_modes` is 9; give 1 to 8"),
    "no start": (("--start", "none.h5"), "does not exist"),
    "no probe": (("--probe", "none.h5"), "does not exist"),
    "refined without a model": (("--refine", "3"), "there is no model; ask for `--passes`"),
    "a network's options": (
        ("--batch-size", "4", "--scale", "1"),
        "`--batch-size`, `--scale` is for networks",
    ),
    "passes with a model": (("-m", "MODEL", "--passes", "3"), "add `--refine K`"),
    "a budget with a model": (("-m", "MODEL", "--budget", "3s"), "`--budget` is for passes"),
    "a probe with a model": (("-m", "MODEL", "--probe", "SCAN"), "`--probe` is for passes"),
    "halves with a model": (("-m", "MODEL", "--halves"), "`--halves` is for passes"),
    "two numbers": (
        ("-m", "MODEL", "--passes", "3", "--refine", "3"),
        "give their number as `--refine`",
    ),
    "two starts": (
        ("-m", "MODEL", "--refine", "3", "--start", "SCAN"),
        "leave out `--start`, or the model",
    ),
    "a refinement that is none": (("-m", "MODEL", "--refine", "0"), "`refine_passes` is 0"),
}


@pytest.mark.parametrize(("flags", "message"), WRONG.values(), ids=WRONG)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(
    flags: tuple[object, ...],
    message: str,
    scan: list[object],
    model_path: Callable[..., Path],
    tmp_path: Path,
) -> None:
    places = {"SCAN": scan[0]}
    if "MODEL" in flags:
        places["MODEL"] = model_path(window_px=32, patch_px=16)
    assert message in run(
        "reconstruct", *scan, *(places.get(str(word), word) for word in flags), code=2
    )
    assert not (tmp_path / "product.h5").exists()


@pytest.mark.parametrize(("text", "seconds"), [("2m", 120), (".5", 0.5), ("1h", 3600), ("3 s", 3)])
def test_times_have_units(text: str, seconds: float) -> None:
    assert seconds_from_text(text) == seconds


def test_two_halves_are_solved_where_that_is_asked_for(
    scan: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def solve_halves(scan: Scan, options: Any, **rest: Any) -> Product:
        asked.append(rest)
        return runtime.solve(scan, options, **rest)

    monkeypatch.setattr(runtime, "solve_halves", solve_halves, raising=False)
    run("reconstruct", *scan, "--passes", 1, "--halves")
    assert [set(rest) for rest in asked] == [{"start", "probe", "progress", "should_stop"}]


def test_an_interrupted_scan_leaves_its_passes_so_far(
    scan: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupt(*arguments: Any, **rest: Any) -> Callable[[int, int, float], None]:
        return lambda done, *_: signal.raise_signal(signal.SIGINT) if done == 2 else None

    monkeypatch.setattr("ptychonyx.cli.reconstruction.show_passes", interrupt)
    run("reconstruct", *scan, "--passes", 50, code=130)
    product = load_product(tmp_path / "product.h5")
    assert not product.complete
    assert product.metadata["stopped"] == "it was interrupted"
    assert product.metadata["passes"] == 2


def test_progress_tells_trials_from_passes_and_names_the_residual() -> None:
    shown: list[tuple[float, int | None, str | None]] = []

    def show(done: float, *, total: int | None = None, title: str | None = None) -> None:
        shown.append((done, total, title))

    report = show_passes(show)
    report(0, 3, 0.02)
    report(1, 8, 0.015)
    assert shown == [
        (0, None, "Looking how many passes it bears: 3, 2.00 % unexplained"),
        (1, 8, "Pass 1, 1.50 % unexplained"),
    ]


@pytest.mark.integration
def test_the_star_is_solved_by_five_passes(star: Path, tmp_path: Path) -> None:
    reference, product = star / "siemens64_reference_3modes.npz", tmp_path / "product.h5"
    words = ("--quantity", "counts", "--probe", reference, "--passes", 5, "-o", product)
    run("reconstruct", star / "siemens64.npz", *words)
    found, truth = load_object(product), load_object(reference)
    score = compare_objects(
        found.object_,
        truth.object_,
        corner_a=found.corner_px,
        corner_b=truth.corner_px,
        region="50:195,50:195",
    )
    assert score.phase_pearson > 0.99
