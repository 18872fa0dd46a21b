"""Recipes as files: read with every mistake found at once, and written back."""

import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import yaml

from components.errors import Problem, Refusal, refuse
from components.recipe import Recipe
from components.recipe_tree import LARGEST_BYTES, Mapping, Scalar, changed, parse
from components.recipe_types import Decoder, plain

URL_MARK: Final = "://"
_START_BYTES: Final = 1 << 16  # of a file, in which a recipe's first keys are
_SECRETS: Final = re.compile(r"(?<=://)[^/?#\s]*@|(?<=[^\s?#])[?#][^\s'\"]*")
_URLS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#\s]*@)?[^\s'\"]*")
_HOST: Final = re.compile(r"[^:/@]*(?::\d*)?(?:/.*)?")


def read(path: Path, *, changes: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a YAML file, with `KEY=VALUE` changes applied and checked like the file.

    A relative `data.source` is relative to the recipe's folder, also when a change gives it, and is returned
    as an absolute path. Whether it exists is for ingest to say.

    Raises:
        Refusal: with every problem, each at its `file:line:column` or `--set KEY=VALUE`.
    """
    return decode(_text(path), source=str(path), folder=path.parent, changes=changes)


def decode(text: str, *, source: str, folder: Path, changes: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a YAML text; `source` is what places name, `folder` what paths are relative to."""
    tree = parse(text, source=source)
    if tree is None:
        raise refuse("the recipe is empty", where=source, do="`steelyard init DATA --target COLUMN` writes a starter")
    if not isinstance(tree, Mapping):
        do = "is it data? `steelyard init DATA --target COLUMN` writes a recipe for it"
        raise refuse(f"this is no recipe, but {tree}", where=tree.where, allowed="a mapping of keys to values", do=do)
    edited, problems = changed(tree, changes, source=source)
    decoder = Decoder()
    recipe = decoder.decode(edited, Recipe, key="")
    found = [*problems, *decoder.problems]
    if found or not isinstance(recipe, Recipe):
        raise Refusal(found)
    return _resolved(recipe, folder)


def to_yaml(recipe: Recipe) -> str:
    """Return a recipe as YAML, with every field, that reads back as the same recipe."""
    return yaml.dump(asdict(recipe), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def public(recipe: Recipe) -> Recipe:
    """Return the recipe as others may see it: where its data lay on this machine is left out, and any credential."""
    return replace(recipe, data=replace(recipe.data, source=public_source(recipe.data.source)))


def public_source(source: str) -> str:
    """Return the last part of a path, or a URL without user, password, query and fragment.

    A password may hold what belongs in no URL: where the host can't be told from it, the URL ends before it.
    """
    scheme, mark, rest = source.partition(URL_MARK)
    if not mark or scheme == "file":
        return Path(source).name
    shown, _, cut = re.sub("[?#]", "\n", rest, count=1).partition("\n")
    while not _HOST.fullmatch(shown):
        before, at, shown = shown.partition("@")
        if not at:
            return scheme + mark + ("" if "@" in cut else before)
    return scheme + mark + shown


def without_secrets(text: str) -> str:
    """Return a text with its URLs less user, password, query and fragment, where credentials are."""
    return _URLS.sub(lambda url: _SECRETS.sub("", url[0]), text)


def write(recipe: Recipe, path: Path) -> None:
    """Write a recipe as YAML."""
    path.write_text(to_yaml(recipe), encoding="utf-8")


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise refuse(f"larger than a recipe can be ({LARGEST_BYTES} bytes)", where=str(path))
        data = path.read_bytes()
    except FileNotFoundError:
        raise Refusal([_missing(path)]) from None
    except OSError as error:
        raise refuse(f"can't be read: {error.strerror}", where=str(path), allowed="a YAML file") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        what = f"byte {data[error.start]:#04x} isn't UTF-8 text"
        raise refuse(what, where=f"{path}:{line}", do="save the file as UTF-8") from None


def _missing(path: Path) -> Problem:
    folder = path.parent
    if not folder.is_dir():
        return Problem(what="no such file, and no such folder", where=str(path))
    near = [other.name for other in sorted(folder.iterdir()) if _is_recipe(other)]
    close = get_close_matches(path.stem, [Path(name).stem for name in near], n=1)  # endings make none of them similar
    do = f"did you mean '{folder / next(name for name in near if Path(name).stem == close[0])}'?" if close else ""
    do = do if near else "`steelyard init DATA --target COLUMN` writes a starter"
    return Problem(what="no such file", where=str(path), allowed=", ".join(near[:10]), do=do)


def _is_recipe(path: Path) -> bool:
    """Say whether a file is a recipe, by its ending and by keys that every recipe has: dvc.yaml has none of them."""
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            start = stream.read(_START_BYTES)
    except OSError:
        return False
    return all(re.search(rb"^['\"]?%s['\"]?[ \t]*:" % key, start, re.MULTILINE) for key in (b"task", b"data"))


def _resolved(recipe: Recipe, folder: Path) -> Recipe:
    if URL_MARK in recipe.data.source:
        return recipe
    source = (folder / Path(recipe.data.source).expanduser()).resolve()
    return replace(recipe, data=replace(recipe.data, source=str(source)))


class _Dumper(yaml.SafeDumper):
    """Writes tuples as lists, and quotes every text that reading could take for something else."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the name is PyYAML's
        return True


def _written_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    ambiguous = not text.isprintable() or plain(text) != text or Scalar(text=text, quoted=False, where="").is_null
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if ambiguous else None)


_Dumper.add_representer(str, _written_text)
_Dumper.add_representer(tuple, yaml.SafeDumper.represent_list)
