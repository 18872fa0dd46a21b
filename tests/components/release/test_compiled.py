"""Compiled code is read as plain data, whatever the bytes are."""

import marshal
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.release import served
from components.release.compiled import plain

SOURCE = '''
"""Of every kind of constant."""
NUMBERS = (0, -1, 2**31, -(2**80), 1.5, float, -0.0, 2j, True, None, ...)
TEXTS = ("a", "é", "x" * 300, b"raw", "\\ud800")
def chosen(value, /, *others, key=1, **more):
    return [lambda one: one in {"a", "b", "c", value} and one in {1, 2, 3} for _ in others], f"{key}{more}"
class Inner:
    async def ask(self):
        await self
'''


def code_of(source: str, path: str = "") -> bytes:
    return marshal.dumps(compile(source, path, "exec", dont_inherit=True))


@pytest.mark.parametrize("source", [SOURCE, Path(served.__file__).read_text(), Path(__file__).read_text()])
def test_the_path_it_was_compiled_at_is_left_out_and_nothing_else(source: str) -> None:
    assert plain(code_of(source, "here.py")) == plain(code_of(source, "/some/where/else.py"))
    assert plain(code_of(source)) != plain(code_of(source + "\nx = 1"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        *(("0, -1", "False, -1"), ("1.5", "1"), ("-0.0", "0.0"), ("2j", "3j"), ("2**80", "2**81"), ('b"raw"', '"raw"')),
        *(
            ("/, *others", "*others"),
            ("key=1", "key=2"),
            ("{1, 2, 3}", "{1, 2, 4}"),
            ("async def", "def"),
            ("ask", "go"),
        ),
    ],
)
def test_every_difference_is_seen(old: str, new: str) -> None:
    changed = SOURCE.replace(old, new).replace("await self" if old == "async def" else "\0", "return self")
    assert changed != SOURCE
    assert plain(code_of(changed)) != plain(code_of(SOURCE))


def test_it_is_the_same_in_every_process() -> None:
    command = [sys.executable, "-c", "import marshal, sys; sys.stdout.buffer.write(marshal.dumps("]
    command[-1] += "compile(sys.stdin.read(), 'there.py', 'exec', dont_inherit=True)))"
    for seed in ("1", "2"):  # of the order in which sets lie
        variables = {**os.environ, "PYTHONHASHSEED": seed}
        told = subprocess.run(command, input=SOURCE.encode(), env=variables, capture_output=True, check=True)
        assert plain(told.stdout) == plain(code_of(SOURCE))


@given(cut=st.integers(0, 2000), place=st.integers(0, 2000), byte=st.integers(0, 255))
@settings(max_examples=300)
def test_wrong_bytes_are_told_or_are_other_code(cut: int, place: int, byte: int) -> None:
    content = code_of(SOURCE)
    cut, place = cut % len(content), place % len(content)
    with pytest.raises(ValueError, match="not what marshal writes"):
        plain(content[:cut])
    spoilt = content[:place] + bytes([byte]) + content[place + 1 :]
    try:
        plain(spoilt)
    except ValueError:
        return


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"?",
        b"N" * 2,  # one value, and more
        b")\x01" * 100_000 + b"N",  # deeper than Python can go
        b"(\xff\xff\xff\x7f" + b"N" * 10,  # four billion values
        b"s\xff\xff\xff\x7fab",
        b"s\xff\xff\xff\xffab",
        b"l\xff\xff\xff\x7fab",
        b"r\x00\x00\x00\x00",  # a value that there is none of
        b"\xa9\x01r\x00\x00\x00\x00",  # a tuple that holds itself
        b"z\x01\xff",  # no text
    ],
)
def test_what_marshal_does_not_write_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match="not what marshal writes"):
        plain(content)


def test_a_value_that_is_meant_again_and_again_costs_what_it_is_written_with() -> None:
    """Sixty tuples, each of the one before twice: written out they would be more than any machine holds."""
    content = b"\xa9\x02NN"
    for before in range(60):
        content = b"\xa9\x02" + content + b"r" + (60 - before).to_bytes(4, "little")
    assert plain(content)[0] == "tuple"
    assert plain(content) != plain(code_of(SOURCE))
