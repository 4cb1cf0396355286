"""The wire format of protobuf: messages, their fields, and numbers of variable length.

A message is a row of fields. Each starts with a key (field number and wire type), followed by a
number, or by a length and that many bytes: text, packed numbers or another message. Reading that
takes no package besides Python, and needs no description of the messages.
"""

from __future__ import annotations

from collections.abc import Mapping

Message = Mapping[int, list[int | memoryview]]
"""Field number -> its values, in the order of the file: numbers, or bytes of anything else."""

VARINT, FIXED_64, LENGTH_DELIMITED, FIXED_32 = 0, 1, 2, 5
"""Wire types. The two of groups (3 and 4) are not written any more, and are refused."""


class WireError(ValueError):
    """The bytes are not a protobuf message of the expected kind."""


def split_message(data: memoryview) -> Message:
    r"""Split the bytes of a message into its fields, without a copy.

    Parameters
    ----------
    data : memoryview of bytes

    Raises
    ------
    WireError
        If a field ends beyond the data, or is of no known wire type.

    Examples
    --------
    >>> fields = split_message(memoryview(b"\x08\x96\x01" + b"\x12\x02hi"))
    >>> integer(fields, 1), text(fields, 2)
    (150, 'hi')
    """
    fields: dict[int, list[int | memoryview]] = {}
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire_type = key >> 3, key & 7
        value: int | memoryview
        if wire_type == VARINT:
            value, position = _varint(data, position)
        else:
            length, position = _length(data, position, wire_type)
            value = data[position : position + length]
            position += length
        if position > len(data):
            raise WireError("a field ends beyond the data")
        fields.setdefault(number, []).append(value)
    return fields


def parts(message: Message, number: int) -> list[memoryview]:
    """Return every value of a field that is not a number."""
    return [part for part in message.get(number, []) if isinstance(part, memoryview)]


def last_part(message: Message, number: int) -> memoryview:
    """Return the last value of a field, which is the one that counts in protobuf; empty if none."""
    found = parts(message, number)
    return found[-1] if found else memoryview(b"")


def text(message: Message, number: int) -> str:
    """Return the text of a field; empty if the message has none.

    Raises
    ------
    WireError
        If it is not UTF-8.
    """
    try:
        return bytes(last_part(message, number)).decode("utf-8")
    except UnicodeDecodeError as error:
        raise WireError(f"field {number} is not text") from error


def integer(message: Message, number: int) -> int:
    """Return the signed number of a field; 0 if the message has none."""
    values = [value for value in message.get(number, []) if isinstance(value, int)]
    return _signed(values[-1]) if values else 0


def integers(message: Message, number: int) -> tuple[int, ...]:
    """Return all signed numbers of a field, whether written one by one or packed together."""
    found: list[int] = []
    for part in message.get(number, []):
        if isinstance(part, int):
            found.append(_signed(part))
            continue
        position = 0
        while position < len(part):
            value, position = _varint(part, position)
            found.append(_signed(value))
    return tuple(found)


def _length(data: memoryview, position: int, wire_type: int) -> tuple[int, int]:
    if wire_type == LENGTH_DELIMITED:
        return _varint(data, position)
    fixed = {FIXED_64: 8, FIXED_32: 4}
    if wire_type not in fixed:
        raise WireError(f"wire type {wire_type} at byte {position}")
    return fixed[wire_type], position


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise WireError("a number is cut short")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position
    raise WireError(f"a number is too long at byte {position}")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value
