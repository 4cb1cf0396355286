"""Changes of bytes, as a bad disk, a broken copy or a clumsy editor makes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

EDGE = 2048
"""Heads and tails of files hold what decides; half of all places are there."""
MOST_BYTES = 64
MAGIC = (b"\x00", b"\xff", b"\x7f\xff\xff\xff", b"\xff" * 4, b"\x00" * 8, b"\xff" * 8, b"\x80")


def spoil_bytes(path: Path, rng: np.random.Generator) -> None:
    """Change a file at one to four places."""
    content = bytearray(path.read_bytes())
    for _ in range(min(4, int(rng.geometric(0.6)))):
        if content:
            MUTATIONS[int(rng.integers(len(MUTATIONS)))](content, rng)
    path.write_bytes(content)


def _place(content: bytearray, rng: np.random.Generator) -> int:
    near = min(EDGE, len(content))
    places = (
        rng.integers(len(content)),
        rng.integers(len(content)),
        rng.integers(near),
        len(content) - 1 - rng.integers(near),
    )
    return int(places[rng.integers(4)])


def _flip_bit(content: bytearray, rng: np.random.Generator) -> None:
    content[_place(content, rng)] ^= 1 << int(rng.integers(8))


def _set_byte(content: bytearray, rng: np.random.Generator) -> None:
    content[_place(content, rng)] = int(rng.integers(256))


def _set_magic(content: bytearray, rng: np.random.Generator) -> None:
    place, magic = _place(content, rng), MAGIC[int(rng.integers(len(MAGIC)))]
    content[place : place + len(magic)] = magic[: len(content) - place]


def _set_noise(content: bytearray, rng: np.random.Generator) -> None:
    place, num = _place(content, rng), int(rng.integers(1, MOST_BYTES))
    content[place : place + num] = rng.bytes(min(num, len(content) - place))


def _copy_block(content: bytearray, rng: np.random.Generator) -> None:
    source, place, num = (
        _place(content, rng),
        _place(content, rng),
        int(rng.integers(1, MOST_BYTES)),
    )
    block = content[source : source + num][: len(content) - place]
    content[place : place + len(block)] = block


def _delete(content: bytearray, rng: np.random.Generator) -> None:
    place = _place(content, rng)
    del content[place : place + int(rng.integers(1, MOST_BYTES))]


def _insert(content: bytearray, rng: np.random.Generator) -> None:
    place = _place(content, rng)
    content[place:place] = rng.bytes(int(rng.integers(1, MOST_BYTES)))


def _cut(content: bytearray, rng: np.random.Generator) -> None:
    del content[_place(content, rng) :]


MUTATIONS: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
    *(_flip_bit, _flip_bit, _flip_bit, _set_byte, _set_byte),
    *(_set_magic, _set_noise, _copy_block, _delete, _insert, _cut),
)
