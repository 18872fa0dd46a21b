"""Reads code that Python compiled, as plain data: by Python alone, for the bytes may be anybody's.

`marshal.loads` makes code objects of them in C, which checks little: its own pages warn of bytes from elsewhere. Here
wrong bytes are a ValueError, and nothing is made that could be run.

Source: CPython 3.11, Python/marshal.c. Another Python has another magic number, and is asked for before.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

Plain = tuple[object, ...]  # a kind and its value; of code, its fields in their order

_REF: Final = 0x80  # of a kind: the value is numbered, and may be meant again
_NUMBERS_OF_CODE: Final = 5  # arguments of three kinds, size of the stack, flags
_PARTS_OF_CODE: Final = 5  # instructions, constants, names, those of variables, and their kinds; then the file's name
_NAMES_OF_CODE: Final = 2  # plain and qualified; then the first line's number
_TABLES_OF_CODE: Final = 2  # of lines, and of exceptions


def plain(content: bytes) -> Plain:
    """Return what `marshal.dumps` wrote, without the path that code was compiled at.

    Raises:
        ValueError: it isn't that, or is nested too deeply.
    """
    reader = _Reader(content)
    try:
        value = reader.value()
    except (ValueError, IndexError, KeyError, RecursionError) as error:
        raise ValueError(f"not what marshal writes: {error}") from None
    if reader.place != len(content):
        raise ValueError("not what marshal writes: more than one value")
    return value


class _Reader:
    """Goes through the bytes once."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.place = 0
        self.numbered: list[Plain | None] = []  # None: begun, and not done

    def value(self) -> Plain:
        """Read one value."""
        kind = self._bytes(1)[0]
        if chr(kind) == "r":
            known = self.numbered[self._long()]
            if known is None:
                raise ValueError("a value is meant within itself")
            return known
        number = len(self.numbered)
        if kind & _REF:
            self.numbered.append(None)
        found = _KINDS[chr(kind & ~_REF)](self)
        if kind & _REF:
            self.numbered[number] = found
        return found

    def _bytes(self, count: int) -> bytes:
        if not 0 <= count <= len(self.content) - self.place:
            raise ValueError("it ends too early")
        self.place += count
        return self.content[self.place - count : self.place]

    def _long(self) -> int:
        return int.from_bytes(self._bytes(4), "little", signed=True)

    def whole(self) -> Plain:
        """A number of 32 bits."""
        return "int", self._long()

    def large(self) -> Plain:
        """A number of any size, in digits of 15 bits, whose count has the sign."""
        count = self._long()
        return "large", count, self._bytes(2 * abs(count))

    def text(self, *, length: int) -> Plain:
        """Text, with so many bytes for its length."""
        count = int.from_bytes(self._bytes(length), "little")
        return "str", self._bytes(count).decode("utf-8", "surrogatepass")

    def raw(self, *, kind: str, count: int | None = None) -> Plain:
        """So many bytes as they are, or as many as the next number says."""
        return kind, self._bytes(self._long() if count is None else count)

    def several(self, *, kind: str, length: int) -> Plain:
        """Values, with so many bytes for their number."""
        count = int.from_bytes(self._bytes(length), "little")
        return kind, *(self.value() for _ in range(count))

    def code(self) -> Plain:
        """The code of a module, a class or a function."""
        numbers = [self._long() for _ in range(_NUMBERS_OF_CODE)]
        parts = [self.value() for _ in range(_PARTS_OF_CODE)]
        self.value()  # the file's name
        names = [self.value() for _ in range(_NAMES_OF_CODE)]
        line = self._long()
        tables = [self.value() for _ in range(_TABLES_OF_CODE)]
        return "code", *numbers, *parts, *names, line, *tables


def _constant(kind: str) -> Callable[[_Reader], Plain]:
    return lambda _reader: (kind,)


_KINDS: Final[Mapping[str, Callable[[_Reader], Plain]]] = {
    **{mark: _constant(mark) for mark in "NTF."},
    "i": _Reader.whole,
    "l": _Reader.large,
    "g": partial(_Reader.raw, kind="float", count=8),
    "y": partial(_Reader.raw, kind="complex", count=16),
    "s": partial(_Reader.raw, kind="bytes"),
    **dict.fromkeys("zZ", partial(_Reader.text, length=1)),
    **dict.fromkeys("aAut", partial(_Reader.text, length=4)),
    ")": partial(_Reader.several, kind="tuple", length=1),
    "(": partial(_Reader.several, kind="tuple", length=4),
    ">": partial(_Reader.several, kind="frozenset", length=4),  # written in an order of their own, always the same
    "c": _Reader.code,
}
