"""Trials for hours in several processes, of which any may hang or die."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

from .outcomes import CRASH, HANG, OUTCOMES, Found, HangError
from .subjects import SUBJECTS
from .trials import Bench, Trial

MOST_CPU_S = 5.0
"""Longest that a reader may compute."""
MOST_SILENT_S = 60.0
"""A process that reports nothing for so long hangs where Python cannot interrupt it."""


@dataclass(frozen=True)
class Started:
    """Say what a process begins."""

    subject: str
    seed: int
    spoilt: Path


@dataclass
class Worker:
    """A process at work, and what it last began."""

    number: int
    process: BaseProcess
    reports: Connection
    heard_s: float
    current: Started | None = None


@dataclass
class Tally:
    """Count outcomes by subject and reader, and keep the failures."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    failures: list[Trial] = field(default_factory=list)
    next_seed: int = 0

    def add(self, trial: Trial, kept: Path) -> None:
        """Count a trial; a failure is printed at once."""
        self.counts[trial.subject, trial.reader, trial.found.outcome] += 1
        if trial.has_failed:
            self.failures.append(trial)
            print(f"{trial}\nThe file is kept in {kept}\n", flush=True)

    def rows(self) -> list[dict[str, Any]]:
        """Return the counts of each subject and reader, and whether it may never read another file."""
        pairs = dict.fromkeys((subject, reader) for subject, reader, _ in self.counts)
        return [
            {
                "subject": subject,
                "reader": reader,
                "guarded": reader in SUBJECTS[subject].guarded,
                **{outcome: self.counts[subject, reader, outcome] for outcome in OUTCOMES},
            }
            for subject, reader in sorted(pairs)
        ]

    def __str__(self) -> str:
        sums: dict[str, Counter[str]] = {}
        for (subject, _, outcome), num in self.counts.items():
            for name in (subject, "all"):
                sums.setdefault(name, Counter())[outcome] += num
        names = [name for name in sums if name != "all"]
        cells = [[name, *(str(sums[name][each]) for each in OUTCOMES)] for name in (*names, "all")]
        lines = [["", *OUTCOMES], *cells]
        return "\n".join(
            f"{line[0]:36}" + "".join(f"{cell:>11}" for cell in line[1:]) for line in lines
        )


def run(
    subjects: Sequence[str],
    *,
    seconds: float,
    processes: int,
    first: int,
    scratch: Path,
    kept: Path,
) -> Tally:
    """Try seed after seed on every subject, until the time is over.

    Parameters
    ----------
    subjects : sequence of str
        Keys of `SUBJECTS`.
    seconds : float
    processes : int
    first : int
        First seed.
    scratch, kept : Path
        Folder to work in, and one for the files that have failed.
    """
    tally = Tally(next_seed=first)
    end_s = time.monotonic() + seconds
    workers = [_start(number, subjects, tally, scratch, kept) for number in range(processes)]
    try:
        while time.monotonic() < end_s:
            ready = wait([worker.reports for worker in workers], timeout=1.0)
            for worker in workers:
                is_alive = worker.reports not in ready or _listen(worker, tally, kept)
                is_silent = time.monotonic() - worker.heard_s > MOST_SILENT_S
                if not is_alive or is_silent:
                    _bury(worker, tally, kept, HANG if is_alive else CRASH)
                    workers[worker.number] = _start(worker.number, subjects, tally, scratch, kept)
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.join()
    return tally


def _start(number: int, subjects: Sequence[str], tally: Tally, scratch: Path, kept: Path) -> Worker:
    """Start a process with seeds that no other one has."""
    context = multiprocessing.get_context("spawn")
    reports, sender = context.Pipe(duplex=False)
    folder = scratch / f"{number}-{tally.next_seed}"
    process = context.Process(
        target=_work, args=(tuple(subjects), tally.next_seed, folder, kept, sender), daemon=True
    )
    tally.next_seed += 1_000_000
    process.start()
    sender.close()
    return Worker(number, process, reports, time.monotonic())


def _listen(worker: Worker, tally: Tally, kept: Path) -> bool:
    """Take one report; tell whether the process still reports."""
    try:
        report = worker.reports.recv()
    except (EOFError, OSError):
        return False
    worker.heard_s = time.monotonic()
    if isinstance(report, Started):
        worker.current = report
    else:
        tally.add(report, kept)
    return True


def _bury(worker: Worker, tally: Tally, kept: Path, outcome: str) -> None:
    """Count what a process was at when it died or hung."""
    worker.process.kill()
    worker.process.join()
    if worker.current is None:
        raise RuntimeError(f"A process ended before its first trial ({worker.process.exitcode}).")
    spoilt = worker.current.spoilt
    kept.mkdir(parents=True, exist_ok=True)
    shutil.copy(spoilt, kept / f"{outcome}_{worker.current.seed}_{spoilt.name}")
    found = Found(outcome, f"exit code {worker.process.exitcode}")
    tally.add(Trial(worker.current.subject, "any", worker.current.seed, found), kept)


def _work(
    subjects: Sequence[str], first: int, folder: Path, kept: Path, sender: Connection
) -> None:
    """Report trials until the process is ended."""
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGPROF, _interrupt)
    benches = []
    for number, subject in enumerate(subjects):
        own = folder / str(number)
        own.mkdir(parents=True)
        benches.append(Bench(subject, own))
    for seed in itertools.count(first):
        for bench in benches:
            sender.send(Started(bench.name, seed, bench.spoilt))
            for trial in _timed(bench.tried(seed)):
                if trial.has_failed:
                    bench.keep(trial, kept)
                sender.send(trial)


def _timed(trials: Iterator[Trial]) -> Iterator[Trial]:
    """Give each reader the time that it may take; of the processor, since a machine may be busy."""
    signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)
    for trial in trials:
        signal.setitimer(signal.ITIMER_PROF, 0)
        yield trial
        signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)
    signal.setitimer(signal.ITIMER_PROF, 0)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise HangError
