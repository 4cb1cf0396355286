"""Fleets: finished scans are skipped, failures are told, and no scan waits for another."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychonyx.runtime.fleet.fleet import reconstruct_many
from ptychonyx.runtime.fleet.record import product_path, unique_names
from ptychonyx.runtime.formats import load_product, save_scan
from ptychonyx.runtime.reconstruction.options import ReconstructionOptions
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan

pytest.importorskip("onnx", reason="model files are built with the onnx package")
pytest.importorskip("onnxruntime", reason="models run on onnxruntime")
pytest.importorskip("distributed", reason="fleets run on distributed")


ROOT = Path(__file__).parents[3]
MODEL = ROOT / "tests" / "models" / "small-pytorch" / "model.onnx"
PATHS = os.pathsep.join(str(ROOT / part) for part in ("runtime", "export", "training"))
COMMAND = [sys.executable, "-c", "from ptychonyx.cli import main; main()", "reconstruct-many"]
ENVIRONMENT = os.environ | {"PYTHONPATH": PATHS, "CUDA_VISIBLE_DEVICES": ""}


def run(*words: object, code: int) -> str:
    done = subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def times_of(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return time and inode of each product and record: whatever is written again changes them."""
    paths = [*folder.glob("*.h5"), *folder.glob("records/*")]
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in paths}


def test_names_are_kept_and_never_shared() -> None:
    scans = [Path(path) for path in ("/a/x.npz", "/a/x.h5", "/b/a/x.npz", "/c/y.npz", "/d/z.npz")]
    names = unique_names(scans, {"/c/y.npz": "old", "/gone/z.npz": "z"})
    assert len(set(names.values())) == 5
    assert (names[scans[3]], names[scans[4]]) == ("old", "d-z")
    assert all(name.startswith("x-") for name in list(names.values())[:3])
    assert unique_names(scans[::-1], {"/c/y.npz": "old", "/gone/z.npz": "z"}) == names


def test_a_product_never_replaces_its_scan(small_scan: Scan, model: Path, tmp_path: Path) -> None:
    save_scan(small_scan, tmp_path / "in")
    with pytest.raises(ValueError, match="another name for the output"):
        reconstruct_many([tmp_path / "in" / "product.h5"], model, tmp_path / "in")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dask": "tcp://host:8786", "num_workers": 2}, "started elsewhere"),
        ({"num_workers": 0}, "`num_workers` is 0"),
        ({"split_patterns": 0}, "`split_patterns` is 0"),
        ({"quantity": "photons"}, "`quantity` is 'photons'"),
    ],
)
def test_what_cannot_work_is_refused_at_once(
    changes: dict[str, Any], message: str, scan_path: Path, model: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        reconstruct_many([scan_path], model, tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_missing_dask_is_named_with_its_cure(
    monkeypatch: pytest.MonkeyPatch, scan_path: Path, model: Path, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RuntimeError, match=r'pip install "ptychonyx\[fleet\]"'):
        reconstruct_many([scan_path], model, tmp_path / "out")


def test_no_scheduler_is_said(scan_path: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="No Dask scheduler answers"):
        reconstruct_many([scan_path], model, tmp_path, dask="tcp://127.0.0.1:9", connect_s=1)


@pytest.mark.integration
def test_workers_elsewhere_open_the_model_once(
    scan_path: Path, model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from distributed import LocalCluster

    scans = [tmp_path / f"scan-{number}.npz" for number in range(6)]
    for scan in scans:
        os.link(scan_path, scan)
    options = ReconstructionOptions(align_phase=True)
    done: list[tuple[int, int]] = []
    caplog.set_level(logging.INFO, "ptychonyx.runtime.model.opened")
    # workers are threads of this process, so that what they share can be looked at
    with LocalCluster(n_workers=2, processes=False, dashboard_address=":0") as cluster:
        result = reconstruct_many(
            scans,
            model,
            tmp_path / "out",
            dask=cluster.scheduler_address,
            quantity="counts",
            split_patterns=25,
            options=options,
            progress=lambda num, of: done.append((num, of)),
        )
    assert [record.status for record in result.records] == ["done"] * 6, result.failed
    assert [record.num_parts for record in result.records] == [2] * 6
    assert done == [(num, 6) for num in range(7)]
    started = [record.getMessage() for record in caplog.records]
    assert started.count(f"{model.name} runs on CPUExecutionProvider") == 1


@pytest.mark.integration
def test_a_fleet_with_a_bad_scan(
    scan_path: Path, small_scan: Scan, model: Path, tmp_path: Path
) -> None:
    patterns = np.concatenate([small_scan.patterns[:], small_scan.patterns[:]])
    corners_px = np.concatenate(
        [small_scan.corners_px, small_scan.corners_px + np.array([0.5, 1.25])]
    )
    large = dataclasses.replace(
        small_scan, patterns=patterns, corners_px=corners_px, position_indexes=None
    )
    (tmp_path / "other").mkdir()
    save_scan(large, tmp_path / "large.npz")
    save_scan(small_scan, tmp_path / "other" / "scan.npz")
    bad = tmp_path / "<bad>.npz"
    bad.write_bytes(scan_path.read_bytes()[:3000])
    scans = [scan_path, tmp_path / "other" / "scan.npz", tmp_path / "large.npz", bad]
    out = tmp_path / "out"
    words = [*scans, "-m", model, "-o", out, "--quantity", "counts", "--workers", 2]
    message = run(*words, "--split-patterns", 45, code=1)
    assert "3 of 4 scans have their product (0 had it before), 1 failed" in message
    assert "Traceback" not in message
    assert f"{bad}: {bad} is not a readable NPZ file" in message
    first = f"{tmp_path.name}-scan"
    assert {path.name for path in out.glob("*.h5")} == {f"{first}.h5", "other-scan.h5", "large.h5"}
    report = json.loads((out / "report.json").read_text())
    found = {one["name"]: one for one in report["scans"]}
    assert (report["done"], report["failed"]) == (3, 1)
    assert (found["large"]["num_parts"], found["other-scan"]["num_parts"]) == (2, 1)
    assert "not a readable NPZ file" in found["<bad>"]["reason"]
    page = (out / "report.html").read_text()
    assert page.count('<img src="data:image/png;base64,') == 3
    assert "&lt;bad&gt;" in page
    assert not re.search(r"<bad>|https?://", page)
    before = times_of(out)
    message = run(*words, "--split-patterns", 45, code=1)
    assert "3 of 4 scans have their product (3 had it before), 1 failed" in message
    message = run(*words[:3], *words[4:], code=0)
    assert "3 of 3 scans have their product (3 had it before), 0 failed" in message
    assert times_of(out) == before


@pytest.mark.integration
def test_a_fleet_without_a_model_is_solved_once(scan_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [scan_path, "-o", out, "--quantity", "counts", "--workers", 1]
    assert "1 of 1 scans have their product (0 had it" in run(*words, "--passes", 2, code=0)
    product = load_product(out / "scan.h5")
    assert (product.metadata["method"], product.metadata["passes"]) == ("passes", 2)
    before = times_of(out)
    assert "(1 had it before)" in run(*words, "--passes", 2, code=0)
    assert times_of(out) == before
    assert "(1 had it before)" in run(*words, "--passes", 2, "--provider", "cpu", code=0)
    assert times_of(out) == before
    assert "(0 had it before)" in run(*words, "--passes", 3, code=0)
    assert load_product(out / "scan.h5").metadata["passes"] == 3


def test_a_network_option_without_a_model_is_code_2(scan_path: Path, tmp_path: Path) -> None:
    words = (scan_path, "-o", tmp_path / "out", "--quantity", "counts")
    assert "`--scale` is for networks" in run(*words, "--scale", 1, code=2)
    assert "ask for `--passes`" in run(*words, "--refine", 1, code=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.integration
def test_a_stopped_fleet_keeps_what_is_finished(
    scan_path: Path, model: Path, tmp_path: Path
) -> None:
    scans = [tmp_path / f"scan-{number}.npz" for number in range(400)]
    for scan in scans:
        os.link(scan_path, scan)
    out = tmp_path / "out"
    words = [*scans, "-m", model, "-o", out, "--quantity", "counts", "--workers", 1]
    process = subprocess.Popen(
        [*COMMAND, *map(str, words)],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not list(out.glob("records/[!.]*")):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: workers, too
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    report = json.loads((out / "report.json").read_text())
    assert report["done"] >= 1
    assert report["waiting"] >= 1
    assert report["failed"] == 0
    for path in out.glob("*.h5"):
        assert load_product(path).complete
    assert not list(out.rglob(".*"))


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_large_fleet_survives_a_killed_worker(tmp_path: Path) -> None:
    def make(path: Path, seed: int, window_px: int, lowest: float = 0) -> None:
        spec = SimulationOptions(num_patterns=20, window_px=window_px, step_px=8)
        scan = simulate_scan(spec, np.random.default_rng(seed))
        patterns = scan.patterns[:].astype(np.float32)
        patterns[5, 3, 3] += lowest
        save_scan(dataclasses.replace(scan, patterns=patterns), path)

    good = [tmp_path / f"good-{number:03}.npz" for number in range(188)]
    for number, path in enumerate(good):
        make(path, number, 64)
    bad: dict[Path, str] = {}
    for number in range(4):
        cut, wrong, low = (tmp_path / f"{word}-{number}.npz" for word in ("cut", "wrong", "low"))
        cut.write_bytes(good[0].read_bytes()[: 900 * (number + 1)])
        make(wrong, number, 32)
        make(low, number, 64, lowest=-1e9)
        bad |= {cut: "not a readable NPZ", wrong: "are 32×32, but", low: "no count of a detector"}
    scans = [*good, *bad]
    np.random.default_rng(0).shuffle(scans)
    assert len(scans) == 200
    out = tmp_path / "out"
    words = [*scans, "-m", MODEL, "-o", out, "--quantity", "counts", "--workers", 2]
    process = subprocess.Popen([*COMMAND, *map(str, words)], env=ENVIRONMENT)
    while len(before := sorted(out.glob("records/[!.]*"))) < 90:
        assert process.poll() is None
        time.sleep(0.05)
    killed = json.loads(before[0].read_text())["worker"]
    os.kill(int(killed.rsplit(":", 1)[1]), signal.SIGKILL)
    finished = times_of(out)
    assert process.wait() == 1
    after = times_of(out)
    records = {path for path in finished if path.suffix == ".json"}
    for record in records:  # what was finished was not done again
        product = product_path(out, record.stem)
        assert [after[path] for path in (record, product)] == [
            finished[path] for path in (record, product)
        ]
    assert {path.stem for path in out.glob("*.h5")} == {path.stem for path in good}
    report = json.loads((out / "report.json").read_text())
    done = [one["name"] for one in report["scans"] if one["status"] == "done"]
    assert sorted(done) == [path.stem for path in good]
    later = [one["worker"] for one in report["scans"] if one["status"] == "done"]
    assert len(set(later)) >= 3  # the dead worker, the other, and who came instead
    failed = {one["scan"]: one["reason"] for one in report["scans"] if one["status"] == "failed"}
    assert set(failed) == set(map(str, bad))
    for path, reason in bad.items():
        assert re.search(reason, failed[str(path)])
    assert not list(out.rglob(".*"))
    message = run(*words, code=1)
    assert "188 of 200 scans have their product (188 had it before), 12 failed" in message
    assert times_of(out) == after
