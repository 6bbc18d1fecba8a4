"""Configs are frozen dataclasses, maybe nested: to and from plain data, changed by name, told to --help."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import itertools
import math
import re
import textwrap
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from metarl.errors import UserError, nearest

__all__ = [
    "MAY_DIFFER",
    "NAMES_CODE",
    "NAMES_FILES",
    "OF_TRAINING",
    "WITHOUT_EFFECT",
    "all_fields",
    "apply_overrides",
    "changed_by_storing",
    "check_plain",
    "check_stored",
    "config_from_dict",
    "config_to_dict",
    "describe_fields",
    "fields_named",
    "is_one_of",
    "marked_names",
    "marked_values",
    "marks_of_types",
    "parse_flags",
]

Config = TypeVar("Config")
Mark = TypeVar("Mark")

NAMES_CODE = "names_code"
"""Mark of a field, `field(metadata={NAMES_CODE: True})`, whose value is imported or called, or given to what is: a
stored config's is taken only where it is the experiment's own."""
NAMES_FILES = "names_files"
"""Mark of a field whose value is the path of a file or folder: a stored config's is read only if the user says so."""
WITHOUT_EFFECT = "without_effect"
"""Mark of a setting that does not change what an iteration computes on a CPU."""
MAY_DIFFER = "may_differ"
"""Mark of a setting that may change when a run is resumed, since nothing learnt depends on it."""
OF_TRAINING = "of_training"
"""Mark of a setting of tasks or data that held-out tasks do not depend on."""

_MARKS_OF_CLASSES: dict[type, str] = {}

_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


def config_to_dict(config: Any) -> dict[str, Any]:
    """Plain data that JSON can hold. Raises UserError naming a field that is NaN or infinite."""
    for name, (_, value) in _leaves(config).items():
        items = value if isinstance(value, tuple) else (value,)
        if any(isinstance(item, float) and not math.isfinite(item) for item in items):
            raise UserError(f"{name}={value} must be finite; a config is stored as JSON")
        try:
            msgspec.json.encode(value)
        except (TypeError, UnicodeEncodeError) as error:
            place, part = _unstorable(name, value)
            if isinstance(part, str):
                raise UserError(f"{place}={part!r} is no text in UTF-8, as a config is stored; rename it") from error
            raise UserError(
                f"{place} is a {type(part).__name__}, which JSON cannot hold, as a config is stored; make it a frozen "
                "dataclass of numbers, texts and the like, or keep it out of the config"
            ) from error
    # asdict: msgspec would leave out what it filled in by default itself; JSON: there are no tuples in it
    return msgspec.json.decode(msgspec.json.encode(dataclasses.asdict(config)))


def _unstorable(name: str, value: Any) -> tuple[str, Any]:
    """The part of a value that JSON cannot hold, by its dotted name."""
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, part in parts:
        try:
            msgspec.json.encode(part)
        except (TypeError, UnicodeEncodeError):
            return _unstorable(f"{name}.{key}", part)
    return name, value


def check_stored(config: Any) -> None:
    """Raises UserError naming a field that a run's config.json does not give back as it was.

    A mode of an Enum comes back as a text, a tuple among a user's own values as a list: training would not be on what
    `evaluate` tests on.
    """
    if change := changed_by_storing(config, config_from_dict(type(config), config_to_dict(config))):
        raise UserError(change)


def check_plain(name: str, value: Any) -> None:
    """Raises UserError naming a part of a value that JSON does not hold, or does not give back as it was."""
    try:
        stored = msgspec.json.decode(msgspec.json.encode(value))
    except (TypeError, UnicodeEncodeError) as error:
        raise UserError(
            f"{name}={value!r:.200} is not plain data ({error}), as a config is stored; {_PLAIN}"
        ) from error
    if change := changed_by_storing(value, stored, name):
        raise UserError(change)


_PLAIN = "give numbers, texts, lists and dicts by text, and let a factory make the rest of them"


def changed_by_storing(value: Any, stored: Any, name: str = "") -> str | None:
    """In a sentence, what of a value is of another type or value after it has been stored as JSON; None: nothing."""
    if {type(value), type(stored)} == {int, float} and value == stored:
        return None  # a whole number, where the field's type is float
    if _is_part_of(stored, value):
        parts = [(f.name, getattr(value, f.name), getattr(stored, f.name)) for f in _settable(stored)]
    elif type(value) is not type(stored):
        return f"{name}={value!r:.60} would come back from config.json as {stored!r:.60}; {_PLAIN}"
    elif isinstance(value, dict) and isinstance(stored, dict):
        if lost := [key for key in value if key not in stored]:
            return f"the key {lost[0]!r} of {name} would come back from config.json as a text; {_PLAIN}"
        parts = [(key, value[key], stored[key]) for key in value]
    elif isinstance(value, (list, tuple)) and len(value) == len(stored):
        parts = [(i, *pair) for i, pair in enumerate(zip(value, stored, strict=True))]
    else:
        return None if value == stored else f"{name}={value!r:.60} would come back as {stored!r:.60}; {_PLAIN}"
    named = ((f"{name}[{key}]" if isinstance(key, int) else f"{name}.{key}".lstrip("."), a, b) for key, a, b in parts)
    return next((found for place, a, b in named if (found := changed_by_storing(a, b, place))), None)


def _is_part_of(stored: Any, value: Any) -> bool:
    """Whether both are configs, of the field's own class or of one that a user has made of it."""
    return dataclasses.is_dataclass(stored) and isinstance(value, type(stored))


def config_from_dict(cls: type[Config], data: Mapping[str, Any]) -> Config:
    """Undo config_to_dict; types are strict. Raises UserError naming an unknown, missing or wrong field."""
    _check_names(cls, data, prefix="")
    try:
        return msgspec.convert(data, cls)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        where = path.rstrip("`").lstrip(".")
        raise UserError(f"{where}: {message}; see --help" if where else message) from error


def apply_overrides(config: Config, pairs: Sequence[tuple[str, str]]) -> Config:
    """A config with fields replaced by name, the values given as text; later pairs win.

    A name is a path (`agent.inner_lr`) or any end of one that is unique in the tree (`inner_lr`), with - or
    _; `no_x` without a value turns the bool x off. Of a config with a `method` and the settings of each in `methods`,
    an end means that of the chosen one. Raises UserError for an unknown or ambiguous name, a value of the wrong type,
    or one that a `__post_init__` refuses. The path of a file is made absolute: it is of the folder where it is given,
    and a stored config is read in another.
    """
    leaves, files = _leaves(config), marked_names(config, NAMES_FILES)
    changes: dict[str, Any] = {}
    for name, given in pairs:
        path, text = _resolve_of(config, name, given, pairs, leaves)
        kind, _ = leaves[path]
        try:
            changes[path] = _parse(text, kind)
            if path in files and text:
                changes[path] = str(Path(text).absolute())
        except ValueError:
            hint = nearest(text, map(str, get_args(kind))) if get_origin(kind) is Literal else ""
            hint += " ('true' stands for a flag without a value)" if text == "true" else ""
            hint += " and NaN is none" if text.lower().lstrip("+-") == "nan" else ""
            if kind is Any:
                raise UserError(
                    f"{path} takes no text ({text!r:.60}); set it in an experiment file of your own"
                ) from None
            raise UserError(f"{path}={text!r} must be {_type_text(kind)}{hint}; give such a value") from None
    return _rebuild(config, changes)


def describe_fields(config: Any) -> list[tuple[str, str, str, str]]:
    """(dotted name, type, value as one would type it, docstring under the field) of every field, in order."""
    described = []
    for name, (_, value) in _leaves(config).items():
        *parents, leaf = name.split(".")
        owner = config
        for parent in parents:
            owner = getattr(owner, parent)
        kind = get_type_hints(type(owner), include_extras=True)[leaf]
        described.append((name, _type_text(kind), _value_text(value), _docstrings(type(owner)).get(leaf, "")))
    return described


def marks_of_types(config: Any, mark: type[Mark]) -> dict[str, tuple[Any, Mark]]:
    """(type, mark) by dotted name of every field whose type carries a mark of that class: `Annotated[float, mark]`.

    Of a config with a `method` and the settings of each in `methods`, those of the chosen one alone.
    """
    chosen = getattr(config, "method", None)
    found = {}
    for name in _leaves(config):
        if name.startswith("methods.") and not name.startswith(f"methods.{chosen}."):
            continue
        *parents, leaf = name.split(".")
        owner = functools.reduce(getattr, parents, config)
        kind, *marks = get_args(get_type_hints(type(owner), include_extras=True)[leaf]) or (None,)
        for one in marks:
            if isinstance(one, mark):
                found[name] = kind, one
    return found


def fields_named(config: Any, pairs: Sequence[tuple[str, str]]) -> set[str]:
    """Dotted names of the fields that `apply_overrides` would change."""
    leaves = _leaves(config)
    return {_resolve_of(config, name, text, pairs, leaves)[0] for name, text in pairs}


def all_fields(mark: str) -> Callable[[type[Config]], type[Config]]:
    """A decorator of a config class: wherever a config has one as a part, all its fields carry the mark."""

    def decorate(cls: type[Config]) -> type[Config]:
        _MARKS_OF_CLASSES[cls] = mark
        return cls

    return decorate


def marked_names(config: Any, mark: str) -> set[str]:
    """Dotted names of the fields, and of groups of fields, that carry a mark where their class defines them."""
    return {".".join(path) for path in _marked(config, mark)}


def is_one_of(name: str, marked: Collection[str]) -> bool:
    """Whether a dotted name is one of `marked`, or lies in one that is a group; an equal end or middle is no match."""
    parts = name.split(".")
    return any(".".join(parts[: i + 1]) in marked for i in range(len(parts)))


def marked_values(config: Any, mark: str) -> dict[str, Any]:
    """{dotted name: value as plain data} of the fields that carry a mark where their class defines them."""
    plain = config_to_dict(config)
    return {
        ".".join(path): functools.reduce(lambda part, name: part[name], path, plain) for path in _marked(config, mark)
    }


# ---- the tree of fields


def _marked(config: Any, mark: str) -> Iterator[tuple[str, ...]]:
    for field in _settable(config):
        value = getattr(config, field.name)
        if field.metadata.get(mark) or _MARKS_OF_CLASSES.get(type(value)) == mark:
            yield (field.name,)
        elif dataclasses.is_dataclass(value):
            yield from ((field.name, *path) for path in _marked(value, mark))


def _leaves(config: Any, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """(type, value) by dotted name of every field that is no dataclass itself."""
    kinds = get_type_hints(type(config))
    leaves = {}
    for field in _settable(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            leaves |= _leaves(value, f"{prefix}{field.name}.")
        else:
            leaves[prefix + field.name] = (kinds[field.name], value)
    return leaves


def _settable(config: Any) -> Iterator[dataclasses.Field[Any]]:
    return (field for field in dataclasses.fields(config) if field.init)


def _resolve_of(
    config: Any, name: str, text: str, pairs: Sequence[tuple[str, str]], leaves: Mapping[str, tuple[Any, Any]]
) -> tuple[str, str]:
    """As `_resolve`, where one of the pairs may choose the method."""
    chosen = next((value for name, value in reversed(pairs) if name == "method"), getattr(config, "method", None))
    return _resolve(name.replace("-", "_"), text, leaves, preferred=f"methods.{chosen}.")


def _resolve(name: str, text: str, leaves: Mapping[str, tuple[Any, Any]], *, preferred: str) -> tuple[str, str]:
    """Path that the name means, and the text of its value. Of several, those that begin as `preferred` come first."""
    found = _candidates(name, leaves)
    if not found and text == "true" and (positive := name.removeprefix("no_")) != name:
        bools = [path for path in _candidates(positive, leaves) if leaves[path][0] is bool]
        if bools:
            found, text = bools, "false"
    if len(found) > 1:
        found = [path for path in found if path.startswith(preferred)] or found
    if len(found) == 1:
        return found[0], text
    if found:
        raise UserError(f"--{name} is ambiguous; give one of {', '.join(found)}")
    inside = [path for path in leaves if f".{path}".partition(f".{name}.")[1]]
    if inside:
        raise UserError(f"{name!r} is a group of fields; give one of {', '.join(inside)}")
    known = [*leaves, *(path.rpartition(".")[2] for path in leaves)]
    raise UserError(f"unknown field {name!r}{nearest(name, known)}; `metarl train EXPERIMENT --help` lists them all")


def _candidates(name: str, leaves: Mapping[str, Any]) -> list[str]:
    if name in leaves:  # a whole path wins, or a field at the top could not be named when a group has its like
        return [name]
    return [path for path in leaves if path.endswith(f".{name}")]


def _rebuild(config: Any, changes: Mapping[str, Any]) -> Any:
    """All changes at once, so that rules between fields see the final values."""
    grouped: dict[str, dict[str, Any]] = {}
    direct = {}
    for path, value in changes.items():
        head, _, rest = path.partition(".")
        if rest:
            grouped.setdefault(head, {})[rest] = value
        else:
            direct[head] = value
    parts = {name: _rebuild(getattr(config, name), inner) for name, inner in grouped.items()}
    try:
        return dataclasses.replace(config, **direct, **parts)
    except ValueError as error:
        raise UserError(str(error)) from error


def _check_names(cls: Any, data: Any, *, prefix: str) -> None:
    """msgspec passes over unknown keys of dataclasses, so a misspelt one would silently be lost."""
    if not isinstance(data, Mapping):
        return  # msgspec says what is wrong
    kinds = get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls) if field.init]
    for name, value in data.items():
        if name not in names:
            raise UserError(f"unknown field '{prefix}{name}'{nearest(str(name), names)}; remove or rename it")
        for kind in (kinds[name], *get_args(kinds[name])):
            if dataclasses.is_dataclass(kind):
                # of dict[str, Range], the keys are the user's and each value is a Range
                inner = value.items() if get_origin(kinds[name]) is dict else [("", value)]
                for key, item in inner:
                    _check_names(kind, item, prefix=f"{prefix}{name}.{key and key + '.'}")


# ---- text to value and back


def _parse(text: str, kind: Any) -> Any:
    """Raises ValueError if the text is not of that type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _parse_union(text, arguments)
    if origin is Literal:
        return {str(choice): choice for choice in arguments}[_one_of(text, {str(choice) for choice in arguments})]
    if origin is tuple:
        return _parse_tuple(text, arguments)
    if kind is bool:
        return _one_of(text.lower(), _TRUE | _FALSE) in _TRUE
    if kind is float:
        if math.isnan(value := float(text)):
            raise ValueError("NaN")
        return value
    if kind in (int, str):
        return kind(text)
    raise ValueError(f"{kind} cannot be given as text")


def _parse_union(text: str, kinds: Sequence[Any]) -> Any:
    if type(None) in kinds and text.lower() in ("none", "null"):
        return None
    for kind in kinds:
        try:
            return _parse(text, kind)
        except ValueError:
            continue
    raise ValueError("none of the types fits")


def _parse_tuple(text: str, kinds: Sequence[Any]) -> tuple[Any, ...]:
    """'128,128', also in brackets as Python prints it; '' is the empty tuple."""
    inner = re.sub(r"^[(\[](.*)[)\]]$", r"\1", text.strip()).strip().rstrip(",")
    items = [item.strip() for item in inner.split(",")] if inner else []
    if kinds[-1:] == (Ellipsis,):
        kinds = (kinds[0],) * len(items)
    return tuple(_parse(item, kind) for item, kind in zip(items, kinds, strict=True))


def _one_of(text: str, allowed: set[str]) -> str:
    if text not in allowed:
        raise ValueError(f"{text!r} is not one of {sorted(allowed)}")
    return text


def _type_text(kind: Any) -> str:
    if kind is type(None):
        return "None"
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return " ".join(map(str, (_type_text(arguments[0]), *arguments[1:])))
    if origin in (Union, types.UnionType):
        return " | ".join(map(_type_text, arguments))
    if origin is Literal:
        return " | ".join(map(repr, arguments))
    if origin is tuple:
        return f"tuple[{', '.join('...' if item is Ellipsis else _type_text(item) for item in arguments)}]"
    return getattr(kind, "__name__", str(kind))


def _value_text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


@functools.cache
def _docstrings(cls: type) -> dict[str, str]:
    """The string literal under each field, of the class and its parents; none where there is no source."""
    found = {}
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError, SyntaxError):
            continue
        assert isinstance(tree.body[0], ast.ClassDef)
        body = tree.body[0].body
        for field, below in itertools.pairwise(body):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                continue
            if (
                isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                found[field.target.id] = inspect.cleandoc(below.value.value)
    return found


def parse_flags(argv: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs in order: `--a-b 1`, `--a-b=1` give ("a_b", "1"); a bare `--a-b` gives ("a_b", "true").

    A value may be a negative number; one that begins with two dashes needs the form with '='. `--no-a` gives
    ("no_a", "true"), which apply_overrides takes as a=false. Raises UserError at a stray word.
    """
    pairs = []
    words = list(argv)
    while words:
        word = words.pop(0)
        name, has_value, value = word[2:].partition("=")
        if not word.startswith("--") or not name:
            raise UserError(f"unexpected argument {word!r}: settings are given as --field value, a list as --field 1,2")
        if not has_value:
            value = words.pop(0) if words and _is_value(words[0]) else "true"
        pairs.append((name.replace("-", "_"), value))
    return pairs


def _is_value(word: str) -> bool:
    if not word.startswith("-"):
        return True
    try:
        float(word)
    except ValueError:
        return False
    return True
