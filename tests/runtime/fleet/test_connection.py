"""Whoever reaches a scheduler can run code as its user: only those with a certificate do."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ptychonyx.runtime.fleet.connection import connected
from ptychonyx.runtime.fleet.fleet import reconstruct_many

pytest.importorskip("onnx", reason="model files are built with the onnx package")
pytest.importorskip("onnxruntime", reason="models run on onnxruntime")
pytest.importorskip("distributed", reason="fleets run on distributed")

ROOT = Path(__file__).parents[3]
PATHS = os.pathsep.join(str(ROOT / part) for part in ("runtime", "export", "training"))
ENVIRONMENT = os.environ | {"PYTHONPATH": PATHS, "CUDA_VISIBLE_DEVICES": ""}

OUTSIDER = """
import sys
from distributed import Client
Client(sys.argv[1], timeout=5)
print("connected")
"""
"""What another user of the machine would run."""


@pytest.mark.integration
def test_a_local_fleet_takes_work_from_nobody_else() -> None:
    with connected("local", 1, 30) as client:
        address = client.scheduler.address
        assert address.startswith("tls://127.0.0.1:")
        assert client.submit(sum, [1, 2]).result() == 3
        for reached in (address, address.replace("tls://", "tcp://")):
            done = subprocess.run(
                [sys.executable, "-c", OUTSIDER, reached],
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stdout) == (1, ""), reached
            assert "TLS" in done.stderr or "connect" in done.stderr, done.stderr
        assert client.cluster.scheduler.http_server.address == "127.0.0.1"
        assert open_ports() <= {"127.0.0.1"}


@pytest.mark.integration
def test_local_workers_keep_freed_memory_for_the_next_array() -> None:
    with connected("local", 1, 30) as client:
        assert client.submit(os.environ.get, "MALLOC_TRIM_THRESHOLD_").result() is None
        assert client.submit(os.environ.get, "OMP_NUM_THREADS").result() == "1"


def open_ports() -> set[str]:
    """Return the addresses at which this process and its children listen."""
    import psutil

    ours = psutil.Process()
    return {
        connection.laddr.ip
        for process in (ours, *ours.children(recursive=True))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


@pytest.mark.integration
def test_a_cluster_brings_its_certificates(scan_path: Path, model: Path, tmp_path: Path) -> None:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1,
        processes=False,
        dashboard_address="127.0.0.1:0",
        security=True,
        protocol="tls://",
    ) as cluster:
        result = reconstruct_many(
            [scan_path], model, tmp_path / "out", dask=cluster, quantity="counts"
        )
    assert [record.status for record in result.records] == ["done"], result.failed


@pytest.mark.integration
def test_the_job_script_encrypts_and_cleans_up(scan_path: Path, tmp_path: Path) -> None:
    """Run docs/examples/fleet.sbatch as SLURM would, with a stand-in for srun."""
    if shutil.which("openssl") is None:
        pytest.skip("the job script makes its certificate with openssl")
    programs = tmp_path / "bin"
    programs.mkdir()
    texts = {
        "activate": f'export PATH="{programs}:$PATH"',
        "ptychonyx": f'#!/bin/bash\nset -e\n{sys.executable} -m ptychonyx.cli "$@"\n{ATTACK}',
        "dask": f'#!/bin/bash\nexec {sys.executable} -m dask "$@"',
        "hostname": "#!/bin/bash\necho 127.0.0.1",
        "srun": '#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"',
    }
    for name, text in texts.items():
        (programs / name).write_text(f"{text}\n")
        (programs / name).chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [scan_path, "-o", "out", "--quantity", "counts", "--passes", "2"]
    done = subprocess.run(
        ["bash", ROOT / "docs" / "examples" / "fleet.sbatch", *map(str, words)],
        cwd=tmp_path,
        env=ENVIRONMENT
        | {
            "PTYCHONYX_VENV": str(tmp_path),
            "SLURM_CPUS_PER_TASK": "1",
            "PORT": str(port),
            "PYTHON": sys.executable,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 scans have their product" in done.stdout
    assert "700 refused\n" in done.stdout
    assert f"tls://127.0.0.1:{port}" in done.stderr
    assert not list(tmp_path.glob(".fleet-*"))


ATTACK = """stat -c '%a' .fleet-*/ | tr '\\n' ' '
env -i "$PYTHON" -c '
from distributed import Client
for protocol in ("tcp", "tls"):
    try:
        Client(protocol + "://127.0.0.1:" + "'$PORT'", timeout=5)
    except (OSError, TypeError):
        continue
    print("connected over", protocol)
print("refused")
'"""
"""Prints the mode of the secret folder, and whether a client without a certificate is refused."""
