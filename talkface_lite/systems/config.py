"""Configurations: frozen dataclasses whose fields, type hints and docstrings say all there is to say.

From them come a network of a named size, what a weights file says about itself, and the flags of the command
line; no system writes any of these by hand.
"""

import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from talkface_lite.errors import InputError


def not_negative(settings: Any, *names: str) -> None:
    """Refuse settings with a field of these that is less than 0, or no number.

    Raises
    ------
    InputError
        Which names the field.
    """
    for name in names:
        if not getattr(settings, name) >= 0:
            raise InputError(name, getattr(settings, name), "0 or more")


def above_zero(settings: Any, *names: str, optional: bool = False) -> None:
    """Refuse settings with a field of these that is 0 or less, or no number; an optional one may be None.

    Raises
    ------
    InputError
        Which names the field.
    """
    for name in names:
        value = getattr(settings, name)
        if not (optional and value is None) and not value > 0:
            raise InputError(name, value, "more than 0")


def one_of(settings: Any, name: str, words: Any) -> None:
    """Refuse settings whose field is none of the words of a ``Literal``.

    Raises
    ------
    InputError
        Which names the field and all of the words.
    """
    if getattr(settings, name) not in get_args(words):
        raise InputError(name, repr(getattr(settings, name)), " or ".join(get_args(words)))


def inner_of(hint: Any) -> tuple[Any, bool]:
    """A type hint without its ``| None``, and whether it had one."""
    if get_origin(hint) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not type(None)]
        if len(kinds) == 1:
            return kinds[0], len(kinds) < len(get_args(hint))
    return hint, False


def from_json(kind: type, values: Mapping[str, Any]) -> Any:
    """A configuration from what ``asdict`` and JSON made of it.

    Parameters
    ----------
    kind:
        The dataclass. Its nested dataclasses and tuples are made again from its type hints.
    values:
        Fields by name; one that is missing has its default.

    Raises
    ------
    TypeError
        When it is no mapping, a field is unknown, or has no value and no default.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"{type(values).__name__} where {kind.__name__} should be")
    hints = get_type_hints(kind)
    unknown = values.keys() - {field.name for field in fields(kind)}
    if unknown:
        raise TypeError(f"{kind.__name__} has no {' or '.join(sorted(unknown))}")
    return kind(**{name: _value(hints[name], value) for name, value in values.items()})


def _value(hint: Any, value: Any) -> Any:
    inner, _ = inner_of(hint)
    if value is not None and is_dataclass(inner):
        return from_json(inner, value)
    if isinstance(value, list) and get_origin(inner) is tuple:
        kinds = get_args(inner)
        kinds = kinds[:1] * len(value) if len(kinds) == 2 and kinds[1] is Ellipsis else kinds
        return tuple(_value(kind, part) for kind, part in zip(kinds, value, strict=True))
    return value


def nested(kind: type) -> Iterator[tuple[Field, type, bool]]:
    """The fields of a configuration that are networks' own: field, its dataclass, whether it may be None."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        inner, optional = inner_of(hints[field.name])
        if is_dataclass(inner):
            yield field, inner, optional


def of_size(kind: type, size: str, /, **settings: Any) -> Any:
    """A configuration whose networks have a named size.

    Parameters
    ----------
    kind:
        The dataclass. Each network in it has ``of_size`` itself.
    size:
        ``"full"`` or ``"lite"``.
    **settings:
        Fields of the configuration, or of its networks: each that has such a field gets the value. For a
        network that may be left out, ``False`` leaves it out.

    Raises
    ------
    InputError
        For a setting that neither has.
    """
    own = {field.name for field in fields(kind)}
    rest = {name: value for name, value in settings.items() if name not in own}
    built, used = {name: value for name, value in settings.items() if name in own}, set()
    for field, network, optional in nested(kind):
        names = {f.name for f in fields(network)}
        changes = {name: value for name, value in rest.items() if name in names}
        used |= changes.keys()
        given = built.get(field.name, True)
        if optional and (given is False or given is None):
            built[field.name] = None
        elif given is True:
            built[field.name] = network.of_size(size, **changes)
    if unknown := rest.keys() - used:
        raise InputError("setting", ", ".join(sorted(unknown)), f"a field of {kind.__name__}")
    return kind(**built)


def default_of(field: Field) -> Any:
    """What a field is when nobody says anything."""
    if field.default is not MISSING:
        return field.default
    return None if field.default_factory is MISSING else field.default_factory()
