"""Protobuf's wire format is read as written, and damage is a WireError and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from ptychonyx.runtime.model.protobuf import (
    Message,
    WireError,
    integer,
    integers,
    last_part,
    parts,
    split_message,
    text,
)


def split(data: bytes) -> Message:
    return split_message(memoryview(data))


def test_every_wire_type_is_passed_over_by_its_length() -> None:
    message = split(b"\x0d1234" + b"\x1112345678" + b"\x1a\x03abc" + b"\x20\x07")
    assert [bytes(last_part(message, number)) for number in (1, 2, 3)] == [
        b"1234",
        b"12345678",
        b"abc",
    ]
    assert integer(message, 4) == 7


def test_the_last_of_several_values_counts() -> None:
    message = split(b"\x08\x01\x08\x02" + b"\x12\x01a\x12\x01b")
    assert (integer(message, 1), text(message, 2)) == (2, "b")
    assert [bytes(part) for part in parts(message, 2)] == [b"a", b"b"]


def test_missing_fields_are_zero_and_empty() -> None:
    message = split(b"")
    assert (integer(message, 1), integers(message, 1), text(message, 1)) == (0, (), "")


def test_numbers_are_signed_and_may_be_packed() -> None:
    minus_one = b"\xff" * 9 + b"\x01"
    message = split(b"\x08" + minus_one + b"\x0a\x0c\x03" + minus_one + b"\x05")
    assert integers(message, 1) == (-1, 3, -1, 5)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"\x0a\x05ab", "beyond the data"),
        (b"\x08", "cut short"),
        (b"\x08" + b"\xff" * 10, "too long"),
        (b"\x0b", "wire type 3"),
    ],
)
def test_damage_is_named(data: bytes, match: str) -> None:
    with pytest.raises(WireError, match=match):
        split(data)


def test_text_must_be_text() -> None:
    with pytest.raises(WireError, match="field 2 is not text"):
        text(split(b"\x12\x01\xff"), 2)


def test_random_bytes_raise_nothing_but_wire_errors() -> None:
    rng, num_refused = np.random.default_rng(0), 0
    for _ in range(2_000):
        try:
            message = split(rng.bytes(int(rng.integers(1, 40))))
            for number in message:
                integer(message, number), integers(message, number), text(message, number)
        except WireError:
            num_refused += 1
    assert 0 < num_refused < 2_000
