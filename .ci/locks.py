"""Write the locks: each package at one version, with the sha256 of every wheel of that version.

    make lock                                     # after a change of the dependencies in pyproject.toml
    make lock UPGRADE="--upgrade-package numpy"   # words that `uv pip compile` knows

`lock.txt` is the home of all versions. A line that ends with `extra == "cpu"` is for the lock alone:
pip skips it, since of the three wheels that bring onnxruntime only one may be installed. The other
locks are smaller environments with the same versions; packages of CUDA are in them alone. So is the
build of torch for CPUs, which is not in the package index: pip would take the index's, whose hash it
knows before it downloads.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "lock.txt"
TORCH_CPU = ROOT / "lock-torch-cpu.txt"
TORCH_CUDA = ROOT / "lock-torch-cuda.txt"
TESTED = ("--extra", "all", "--group", "dev")
"""What `make test` needs, in the words of uv."""
HOW = """
Written by `make lock` from pyproject.toml: change that, not this.
    pip install --require-hashes --no-deps -r {}"""


@dataclass(frozen=True)
class Environment:
    """A smaller environment with a lock of its own.

    Attributes
    ----------
    file : str
        Name of its lock.
    title : str
        What it is for.
    extras : tuple of str
        Extras of pyproject.toml.
    more : str
        What else it needs.
    """

    file: str
    title: str
    extras: tuple[str, ...]
    more: str = ""


ENVIRONMENTS = (
    Environment(
        "lock-demo.txt",
        "The first stage of `make demo`: reconstruction on CPUs, and what builds this package.",
        ("cpu", "compare", "plot"),
        "hatchling",
    ),
    Environment(
        "lock-cpu-runtime.txt",
        "Reconstruction on CPUs.",
        ("cpu", "detectors", "compare", "plot"),
    ),
    Environment(
        "lock-gpu-runtime.txt",
        "Reconstruction on NVIDIA GPUs: CUDA 13. Not run here.",
        ("gpu", "detectors", "compare", "plot"),
        "onnxruntime-gpu[cuda,cudnn]",
    ),
    Environment(
        "lock-gpu-tensorflow.txt",
        "Training in TensorFlow on NVIDIA GPUs: CUDA 12. Not run here.",
        ("cpu", "detectors", "tensorflow", "export", "plot"),
        "tensorflow[and-cuda]",
    ),
    Environment(
        "lock-gpu-pytorch.txt",
        "Training in PyTorch on NVIDIA GPUs: CUDA 13. Not run here.",
        ("cpu", "detectors", "pytorch", "export", "plot"),
    ),
)

_CUDA = re.compile(r"(cuda|nvidia)-|triton$")
_LINE = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>.*?))?(?: \\)?")
_COMPILE = (
    *("-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
    *("--generate-hashes", "--only-binary", ":all:", "--no-header", "--no-annotate"),
)


@dataclass(frozen=True)
class Locked:
    """One package of a lock.

    Attributes
    ----------
    name : str
        In the normal form: lower case, with hyphens.
    version : str
    marker : str
        Where pip installs it, as PEP 508 writes it; empty: everywhere.
    hashes : tuple of str
        sha256 of the wheels that may be installed, in hexadecimal.
    """

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


Packages = Mapping[str, Locked]


def read_lock(text: str) -> dict[str, Locked]:
    r"""Return the packages of a lock by name.

    Raises
    ------
    ValueError
        If a line is neither a package, nor a hash, nor a comment, or a package comes twice.

    Examples
    --------
    >>> read_lock("six==1.17.0 \\\n    --hash=sha256:47\n")
    {'six': Locked(name='six', version='1.17.0', marker='', hashes=('47',))}
    """
    packages: dict[str, Locked] = {}
    name = ""
    for line in text.splitlines():
        if not line or line.startswith(("#", "-r ")):
            continue
        if line.startswith("    --hash=sha256:"):
            digest = line.removeprefix("    --hash=sha256:").removesuffix(" \\")
            packages[name] = replace(packages[name], hashes=(*packages[name].hashes, digest))
            continue
        found = _LINE.fullmatch(line)
        if found is None or found["name"] in packages:
            raise ValueError(f"A lock has one `NAME==VERSION` for each package, not {line!r}.")
        name = found["name"]
        packages[name] = Locked(name, found["version"], found["marker"] or "", ())
    return packages


def constraints(lock: Path) -> str:
    """Return the versions of a lock without hashes or markers, for pip's option `-c`.

    pip takes no constraints with hashes.
    """
    return "".join(
        f"{each.name}=={each.version}\n" for each in read_lock(lock.read_text()).values()
    )


def as_lines(packages: Packages) -> list[str]:
    """Return packages as lines of a lock, in the order of their names."""
    lines = []
    for _, each in sorted(packages.items()):
        line = f"{each.name}=={each.version}" + (f" ; {each.marker}" if each.marker else "")
        hashes = [f"    --hash=sha256:{digest}" for digest in sorted(each.hashes)]
        lines.append(" \\\n".join([line, *hashes]))
    return lines


def write_lock(path: Path, title: str, packages: Packages, *, also: str = "") -> None:
    """Write a lock.

    Parameters
    ----------
    path : Path
    title : str
        What it is for.
    packages : mapping of name to Locked
    also : str
        Name of a lock beside it that is installed with it.
    """
    lines = [f"# {line}" for line in (title + HOW.format(path.name)).splitlines()]
    lines += [f"-r {also}"] if also else []
    path.write_text("\n".join([*lines, *as_lines(packages)]) + "\n")


def resolve(
    words: Sequence[str], *, known: Path, upgrade: Sequence[str], fixed: Packages, more: str = ""
) -> dict[str, Locked]:
    """Choose a version of every package that is needed, with uv.

    Parameters
    ----------
    words : sequence of str
        Extras and groups of pyproject.toml, in the words of uv.
    known : Path
        A lock whose versions are kept where they fit.
    upgrade : sequence of str
        Words of uv that say which versions need not be kept.
    fixed : mapping of name to Locked
        Versions that must be taken.
    more : str
        Further requirements, one a line.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, pins, needs = (Path(folder, name) for name in ("out.txt", "pins.txt", "needs.in"))
        if known.is_file():
            out.write_text("\n".join(as_lines(read_lock(known.read_text()))))
        pins.write_text("".join(f"{each.name}=={each.version}\n" for each in fixed.values()))
        needs.write_text(more)
        sources = ("pyproject.toml", str(needs))
        files = ("-c", str(pins), "-o", str(out))
        command = (sys.executable, *_COMPILE, *sources, *words, *files, *upgrade)
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return read_lock(out.read_text())


def build_for_cpus(torch: Locked) -> dict[str, Locked]:
    """Return the build of torch for CPUs, if pip finds one on this machine or it was locked before.

    Hashes that were locked before, for other Pythons, are kept.
    """
    asked = (
        *("-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet"),
        *("--report", "-", f"torch=={torch.version}"),
    )
    report = subprocess.run((sys.executable, *asked), check=True, capture_output=True, text=True)
    (found,) = json.loads(report.stdout)["install"]
    version = f"{torch.version}+cpu"
    known = read_lock(TORCH_CPU.read_text()).get("torch") if TORCH_CPU.is_file() else None
    hashes = set(known.hashes) if known is not None and known.version == version else set()
    if found["metadata"]["version"] == version:
        hashes.add(found["download_info"]["archive_info"]["hashes"]["sha256"])
    return {"torch": Locked("torch", version, "", tuple(hashes))} if hashes else {}


def lock_tested(upgrade: Sequence[str]) -> tuple[dict[str, Locked], dict[str, Locked]]:
    """Return what is tested and what the other extras add, and what torch needs of CUDA."""
    whole = resolve(TESTED, known=LOCK, upgrade=upgrade, fixed={})
    cuda = {name: each for name, each in whole.items() if _CUDA.match(name)}
    locked = {name: each for name, each in whole.items() if name not in cuda}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in project["optional-dependencies"]:
        words = ("--extra", extra)
        found = resolve(words, known=LOCK, upgrade=upgrade, fixed=locked)
        for name in found.keys() - locked.keys() - cuda.keys():
            marker = f"({found[name].marker}) and " if found[name].marker else ""
            locked[name] = replace(found[name], marker=f'{marker}extra == "{extra}"')
    return locked, cuda


def write_locks(upgrade: Sequence[str]) -> None:
    """Write all locks anew."""
    locked, cuda = lock_tested(upgrade)
    write_lock(LOCK, "What is tested, and with `extra ==` what pip skips here.", locked)
    write_lock(TORCH_CPU, "PyTorch, as built for CPUs.", build_for_cpus(locked["torch"]))
    write_lock(TORCH_CUDA, "What builds of torch for CUDA need beside lock.txt.", cuda)
    for each in ENVIRONMENTS:
        has_torch = "pytorch" in each.extras
        found = resolve(
            [word for extra in each.extras for word in ("--extra", extra)],
            known=ROOT / each.file,
            upgrade=upgrade,
            fixed={**locked, **cuda} if has_torch else locked,
            more=each.more,
        )
        rest = {name: package for name, package in found.items() if name not in cuda}
        if has_torch:
            write_lock(ROOT / each.file, each.title, rest, also=TORCH_CUDA.name)
        else:
            write_lock(ROOT / each.file, each.title, found)


if __name__ == "__main__":
    write_locks(sys.argv[1:])
