"""One trial: a valid file is spoilt by a seed, and each reader has its say."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .outcomes import ALWAYS_FAILURES, DIFFERENT, Found, judge
from .subjects import SUBJECTS


@dataclass(frozen=True)
class Trial:
    """What a reader made of a spoilt file.

    Attributes
    ----------
    subject, reader : str
    seed : int
    found : Found
    """

    subject: str
    reader: str
    seed: int
    found: Found

    @property
    def has_failed(self) -> bool:
        """Whether this must not happen."""
        is_guarded = self.reader in SUBJECTS[self.subject].guarded
        outcome = self.found.outcome
        return outcome in ALWAYS_FAILURES or (outcome == DIFFERENT and is_guarded)

    def __str__(self) -> str:
        head = f"{self.subject}, {self.reader}, seed {self.seed}: {self.found.outcome}"
        return f"{head}\n{self.found.detail}" if self.found.detail else head


class Bench:
    """A valid file in a folder of its own, to be spoilt again and again.

    Parameters
    ----------
    subject : str
        A key of `SUBJECTS`.
    folder : Path
        An empty folder.
    """

    def __init__(self, subject: str, folder: Path) -> None:
        self.name, self._subject = subject, SUBJECTS[subject]
        self._path = self._subject.write(folder)
        self.spoilt = folder / (self._subject.spoilt or self._path.name)
        self._whole = self.spoilt.read_bytes()
        self._originals: dict[str, Any] = {}
        for name, read in self._subject.readers.items():
            self._originals[name] = read(self._path)

    def spoil(self, seed: int) -> None:
        """Write the file that belongs to a seed; the same on every machine."""
        self.spoilt.write_bytes(self._whole)
        self._subject.spoil(self.spoilt, np.random.default_rng(seed))

    def tried(self, seed: int) -> Iterator[Trial]:
        """Spoil the file, and read it with each reader. A warning is an error."""
        self.spoil(seed)
        for name, read in self._subject.readers.items():
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found = judge(read, self._path, self._originals[name], self._subject.atol)
            yield Trial(self.name, name, seed, found)

    def keep(self, trial: Trial, folder: Path) -> Path:
        """Copy the spoilt file to a folder, under a name that tells the trial."""
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{trial.subject} {trial.seed}{self.spoilt.suffix}".replace(" ", "_")
        return Path(shutil.copy(self.spoilt, folder / name.replace("'", "")))
