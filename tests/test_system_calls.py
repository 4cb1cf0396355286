"""What a reconstruction asks of the system: no network, and no file but its product."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.scan import Scan

NETWORK = re.compile(
    r"\b(connect|bind)\(|AF_INET|AF_NETLINK"
)  # pairs of sockets within a process are none
WRITTEN = re.compile(r'openat\([^,]+, "([^"]+)", [^)]*(?:O_WRONLY|O_RDWR|O_CREAT)')
HARMLESS = ("/dev/", "/proc/")


@pytest.fixture
def strace() -> str:
    """Return the program that lists system calls; an audit hook would not see a C++ library's."""
    found = shutil.which("strace")
    if found is None:
        pytest.skip("strace is not installed")
    if subprocess.run([found, "-o", os.devnull, "true"], check=False).returncode:
        pytest.skip("this machine does not let strace look at processes")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("has_model", [False, True])
def test_a_reconstruction_reaches_nothing_but_its_files(
    strace: str, has_model: bool, small_scan: Scan, tmp_path: Path, model_path: Callable[..., Path]
) -> None:
    save_scan(small_scan, tmp_path / "scan.npz")
    way = ["--passes", "2"]
    if has_model:
        pytest.importorskip("onnxruntime", reason="models run on onnxruntime")
        way = ["--model", str(model_path(window_px=32, patch_px=16))]
    out, log = tmp_path / "out" / "product.h5", tmp_path / "calls.log"
    out.parent.mkdir()
    watched = [strace, "-f", "-e", "trace=network,openat", "-o", str(log), sys.executable, "-B"]
    words = ["reconstruct", str(tmp_path / "scan.npz"), "--quantity", "counts", "-o", str(out)]
    subprocess.run(
        [*watched, "-m", "ptychonyx.cli", *words, *way],
        env=os.environ | {"HOME": str(tmp_path / "home"), "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        capture_output=True,
    )
    calls = log.read_text(errors="replace").splitlines()
    opened = [path for call in calls if (found := WRITTEN.search(call)) for path in found.groups()]
    written = {Path(path).parent for path in opened if not path.startswith(HARMLESS)}
    assert [call for call in calls if NETWORK.search(call)] == []
    assert written == {out.parent}
    assert [path.name for path in out.parent.iterdir()] == ["product.h5"]
