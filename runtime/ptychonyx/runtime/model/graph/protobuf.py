"""The wire format of protobuf: messages, their fields, and numbers of variable length.

A message is a row of fields. Each starts with a key (field number and wire type), followed by a
number, or by a length and that many bytes: text, packed numbers or another message. Reading and
writing that takes no package besides Python, and needs no description of the messages.

Readers differ in what they make of numbers that no writer would write. All of those are refused.
"""

from __future__ import annotations

from collections.abc import Mapping

Message = Mapping[int, list[int | memoryview]]
"""Field number -> its values, in the order of the file: numbers, or bytes of anything else."""

VARINT, FIXED_64, LENGTH_DELIMITED, FIXED_32 = 0, 1, 2, 5
"""Wire types. The two of groups (3 and 4) are not written any more, and are refused."""


MAX_KEY = 2**32
"""Keys are below this: some readers cut longer ones to 32 bits, and see another field."""
MAX_FIELDS = 30_000
"""Most fields of a message that are read, where the kind of message does not need fewer."""
MAX_NUMBER = 2**64
"""Numbers are below this."""


class WireError(ValueError):
    """The bytes are not a protobuf message of the expected kind."""


def split_message(data: memoryview, *, most: int = MAX_FIELDS) -> Message:
    r"""Split the bytes of a message into its fields, without a copy.

    Parameters
    ----------
    data : memoryview of bytes
    most : int
        Most fields that such a message has.

    Raises
    ------
    WireError
        If there are more fields, a field ends beyond the data, is of no known wire type, has a number
        that no field can have, or a number is written in more bytes than it needs.

    Examples
    --------
    >>> fields = split_message(memoryview(b"\x08\x96\x01" + b"\x12\x02hi"))
    >>> integer(fields, 1), text(fields, 2)
    (150, 'hi')
    """
    fields: dict[int, list[int | memoryview]] = {}
    position = num_fields = 0
    while position < len(data):
        num_fields += 1
        if num_fields > most:
            raise WireError(f"a message has more than {most} fields")
        key, position = _varint(data, position)
        number, wire_type = key >> 3, key & 7
        if key >= MAX_KEY or number == 0:
            raise WireError(f"there is no field number {number}")
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


def integers(message: Message, number: int, *, most: int) -> tuple[int, ...]:
    """Return all signed numbers of a field, whether written one by one or packed together.

    Raises
    ------
    WireError
        If there are more than `most`.
    """
    found: list[int] = []
    for part in message.get(number, []):
        if isinstance(part, int):
            found.append(_signed(part))
            continue
        position = 0
        while position < len(part):
            value, position = _varint(part, position)
            found.append(_signed(value))
            if len(found) > most:
                raise WireError(f"field {number} has more than {most} numbers")
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
            if value >= MAX_NUMBER or (byte == 0 and shift > 0):
                break
            return value, position
    raise WireError(f"a number is too long at byte {position}")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def varint(value: int) -> bytes:
    """Return a number as it is written: 7 bits a byte, the lowest first.

    Examples
    --------
    >>> varint(150).hex(), len(varint(-1))
    ('9601', 10)
    """
    value %= MAX_NUMBER
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def number_field(number: int, value: int) -> bytes:
    """Return a field that holds a number."""
    return varint(number << 3 | VARINT) + varint(value)


def float_field(number: int, value: bytes) -> bytes:
    """Return a field that holds a float32, given as its 4 bytes."""
    return varint(number << 3 | FIXED_32) + value


def bytes_field(number: int, *pieces: bytes | memoryview) -> list[bytes | memoryview]:
    r"""Return the pieces of a field that holds bytes, text or a message; nothing is copied.

    Examples
    --------
    >>> b"".join(bytes_field(2, b"h", b"i"))
    b'\x12\x02hi'
    """
    length = sum(len(piece) for piece in pieces)
    return [varint(number << 3 | LENGTH_DELIMITED) + varint(length), *pieces]
