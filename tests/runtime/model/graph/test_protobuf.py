"""Protobuf's wire format is read as written, and damage is a WireError and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from ptychonyx.runtime.model.graph.protobuf import (
    Message,
    WireError,
    bytes_field,
    float_field,
    integer,
    integers,
    last_part,
    number_field,
    parts,
    split_message,
    text,
    varint,
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
    assert (integer(message, 1), integers(message, 1, most=4), text(message, 1)) == (0, (), "")


def test_numbers_are_signed_and_may_be_packed() -> None:
    minus_one = b"\xff" * 9 + b"\x01"
    message = split(b"\x08" + minus_one + b"\x0a\x0c\x03" + minus_one + b"\x05")
    assert integers(message, 1, most=4) == (-1, 3, -1, 5)


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
                integer(message, number), integers(message, number, most=9), text(message, number)
        except WireError:
            num_refused += 1
    assert 0 < num_refused < 2_000


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (varint((1 << 3) + 2**32) + b"\x05", "no field number 536870913"),
        (varint((1 << 3 | 2) + 2**35) + b"\x00", "no field number"),
        (b"\x00\x05", "no field number 0"),
        (b"\x02\x00", "no field number 0"),
        (b"\x88\x00\x05", "too long"),  # the key 8 in two bytes
        (b"\x08\x85\x00", "too long"),  # the number 5 in two bytes
        (b"\x0a\x82\x80\x00ab", "too long"),  # the length 2 in three bytes
        (b"\x08" + b"\xff" * 9 + b"\x02", "too long"),  # a 65th bit, which is cut off by some
    ],
)
def test_numbers_that_readers_may_take_for_others_are_refused(data: bytes, match: str) -> None:
    with pytest.raises(WireError, match=match):
        split(data)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 2**32, 2**63 - 1, -1, -(2**63)])
def test_numbers_are_read_as_they_were_written(value: int) -> None:
    assert integer(split(number_field(3, value)), 3) == value


def test_more_fields_or_numbers_than_a_message_has_are_refused() -> None:
    assert integers(split_message(memoryview(b"\x08\x01" * 3), most=3), 1, most=3) == (1, 1, 1)
    with pytest.raises(WireError, match="more than 2 fields"):
        split_message(memoryview(b"\x08\x01" * 3), most=2)
    with pytest.raises(WireError, match="field 1 has more than 2 numbers"):
        integers(split(b"\x0a\x03\x01\x01\x01"), 1, most=2)


def test_bytes_are_read_as_they_were_written() -> None:
    message = split(b"".join([*bytes_field(7, b"a", b"bc"), float_field(2, b"1234")]))
    assert [bytes(last_part(message, number)) for number in (7, 2)] == [b"abc", b"1234"]
