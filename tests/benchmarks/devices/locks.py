"""The locks for GPUs: what they pin, whether an environment is one of theirs, and whether it gives CUDA."""

from __future__ import annotations

import importlib.metadata
import sys

from locks import read_lock

from ptychonyx.runtime.model.session import Model

from .places import ROOT, SMALL

NEEDED: dict[str, tuple[str, ...]] = {
    "runtime": ("onnxruntime-gpu", "nvidia-cublas", "nvidia-cuda-runtime", "nvidia-cudnn-cu13"),
    "pytorch": ("torch", "lightning"),
    "tensorflow": ("tensorflow", "nvidia-cublas-cu12", "nvidia-cudnn-cu12"),
}
"""Environment -> what its lock must pin to give CUDA."""
ALSO = {"pytorch": "lock-torch-cuda.txt"}
"""Environment -> the lock that its own names."""
NUM_NAMED = 3


def pins_what_cuda_needs(environment: str) -> str:
    """Read the lock of an environment, without installing it."""
    packages = read_lock((ROOT / f"lock-gpu-{environment}.txt").read_text())
    if environment in ALSO:
        more = read_lock((ROOT / ALSO[environment]).read_text())
        assert any(name.startswith(("nvidia-", "cuda-")) for name in more), "no CUDA is pinned"
        packages |= more
    lacking = [name for name in NEEDED[environment] if name not in packages]
    assert not lacking, f"{', '.join(lacking)} is not pinned"
    unhashed = [name for name, package in packages.items() if not package.hashes]
    assert not unhashed, f"{', '.join(unhashed)} has no hash"
    return f"{len(packages)} packages with hashes"


def environment_is_that_of_the_lock(environment: str) -> str:
    """Compare what is installed beside this Python with the lock."""
    lock = f"lock-gpu-{environment}.txt"
    different = []
    for name, package in read_lock((ROOT / lock).read_text()).items():
        if package.marker:
            continue
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = "missing"
        if found != package.version:
            different.append(f"{name} {found} for {package.version}")
    assert not different, (
        f"{sys.executable} is not of {lock} ({len(different)} differ: "
        f"{', '.join(different[:NUM_NAMED])}); name its Python: make gpu "
        f"{environment.upper()}_PYTHON=..."
    )
    return sys.executable


def gives_cuda(environment: str) -> str:
    """Compute something on the GPU with what is installed beside this Python."""
    return {"runtime": _runtime, "pytorch": _pytorch, "tensorflow": _tensorflow}[environment]()


def _runtime() -> str:
    return Model(SMALL[0], provider="cuda").providers[0]


def _pytorch() -> str:
    import torch

    assert torch.cuda.is_available(), f"torch {torch.__version__} sees no GPU"
    ones = torch.ones(64, 64, device="cuda")
    assert float((ones @ ones).sum()) == 64**3
    return f"torch {torch.__version__} on {torch.cuda.get_device_name(0)}"


def _tensorflow() -> str:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    assert gpus, f"tensorflow {tf.__version__} sees no GPU"
    with tf.device("GPU:0"):
        ones = tf.ones((64, 64))
        assert float(tf.reduce_sum(ones @ ones)) == 64**3
    return f"tensorflow {tf.__version__}, {len(gpus)} GPU"
