"""Flags of the command line, made from dataclasses: name, type, default, choices and help are all in them."""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from inspect import getdoc
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from talkface_lite.systems.config import default_of, inner_of, nested


class Flag(NamedTuple):
    """One setting as a flag."""

    name: str
    """Of the setting: a field of the dataclass, or of a network in it."""
    option: str
    """As it is typed: ``--mouth-weight``."""
    arguments: dict[str, Any]
    """For ``argparse``."""


def flags_of(
    kind: type, *, skip: Sequence[str] = (), defaults: Mapping[str, Any] | None = None
) -> list[Flag]:
    """The flags of a configuration.

    Numbers, words, choices and yes-or-no settings become flags. So do those choices and yes-or-no settings of
    the networks in it; their widths do not, ``--size`` sets these. A network that may be left out gives
    ``--no-NAME``.

    Parameters
    ----------
    kind:
        A dataclass with a numpydoc ``Parameters`` section, whose paragraphs are the help. What a paragraph
        says of ``False`` is the help of ``--no-NAME``, of ``None`` what happens where the flag is left out.
    skip:
        Fields that are no flags.
    defaults:
        Values other than the dataclass's own.

    Returns
    -------
    Flags whose parsed value is ``argparse.SUPPRESS`` where nothing was typed, so that defaults stay where
    they are.
    """
    defaults, hints, texts = defaults or {}, get_type_hints(kind), paragraphs(kind)
    networks = {field.name: (network, optional) for field, network, optional in nested(kind)}
    flags = []
    for field in fields(kind):
        if field.name in skip:
            continue
        text = texts.get(field.name, "")
        if field.name in networks:
            network, optional = networks[field.name]
            if optional:
                off = {"action": "store_const", "const": None, "dest": field.name}
                _, _, then = text.partition("None ")
                text = _sentence(then) if then else f"Without it. {text}"
                flags.append(_flag(field.name, f"--no-{_words(field.name)}", off, text))
            known = {flag.option for flag in flags}
            flags += [flag for flag in _choices_of(network) if flag.option not in known]
        else:
            flags += _of_field(field, hints[field.name], text, defaults.get(field.name, default_of(field)))
    return flags


def _choices_of(network: type) -> Iterator[Flag]:
    hints, texts = get_type_hints(network), paragraphs(network)
    for field in fields(network):
        inner, _ = inner_of(hints[field.name])
        if inner is bool or get_origin(inner) is Literal:
            yield from _of_field(field, inner, texts.get(field.name, ""), default_of(field))


def _of_field(field: Field, hint: Any, text: str, default: Any) -> Iterator[Flag]:
    inner, _ = inner_of(hint)
    if is_dataclass(inner):
        return
    option = f"--{_words(field.metadata.get('flag', field.name))}"
    shown = "" if default is None or inner is bool else f" (default {_plain(default)})"
    if inner is bool:
        action = "store_false" if default else "store_true"
        option = option.replace("--", "--no-", 1) if default else option
        if default:
            then = text.removeprefix("False ")
            text = f"Without it: {text}" if then == text else _sentence(then)
        yield _flag(field.name, option, {"action": action, "dest": field.name}, text)
    elif get_origin(inner) is Literal:
        choices = {"choices": get_args(inner), "dest": field.name}
        if isinstance(choices["choices"][0], int):
            choices["type"] = _reader(int)
        yield _flag(field.name, option, choices, text + shown)
    elif get_origin(inner) is tuple:
        kinds = get_args(inner)
        if Ellipsis not in kinds and kinds[0] in (int, float, str, Path):
            several = {"nargs": len(kinds), "type": _reader(kinds[0]), "dest": field.name}
            several["metavar"] = (kinds[0].__name__.upper(),) * len(kinds)
            yield _flag(field.name, option, several, text + shown)
    elif inner in (int, float, str, Path):
        one = {"type": _reader(inner), "metavar": inner.__name__.upper(), "dest": field.name}
        yield _flag(field.name, option, one, text + shown)


def _flag(name: str, option: str, arguments: dict[str, Any], text: str) -> Flag:
    text = re.sub(r"\s*\{cite\}`[^`]*`|[`*]", "", re.sub(r":\w+:`~?([^`]*)`", r"\1", text))
    text = re.sub(r"\bNone (?=\w)", "left out, it ", text)  # which nobody can type
    return Flag(name, option, arguments | {"default": argparse.SUPPRESS, "help": text.replace("%", "%%")})


def add_flags(parser: argparse.ArgumentParser, title: str, flags: Sequence[Flag]) -> None:
    """Add flags to a parser, under a heading of their own."""
    if flags:
        group = parser.add_argument_group(title)
        for flag in flags:
            group.add_argument(flag.option, **flag.arguments)


def chosen(arguments: argparse.Namespace, flags: Sequence[Flag]) -> dict[str, Any]:
    """The settings that were typed, by name."""
    names = {flag.name for flag in flags}
    typed = {name: value for name, value in vars(arguments).items() if name in names}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in typed.items()}


def paragraphs(kind: type) -> dict[str, str]:
    """The paragraphs of a numpydoc ``Parameters`` section by name, each on one line."""
    found: dict[str, str] = {}
    _, _, section = (getdoc(kind) or "").partition("Parameters\n----------\n")
    section = re.split(r"\n\n?\w+\n-{3,}\n", section)[0]
    for match in re.finditer(r"^(\S[^\n]*):\n((?:[ \t]+[^\n]*\n?|\n)+)", section + "\n", re.MULTILINE):
        for name in match[1].split(","):
            found[name.strip().strip("*")] = " ".join(match[2].split())
    return found


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _words(name: str) -> str:
    return name.replace("_", "-")


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _reader(kind: type) -> Any:
    """A type whose name in argparse's messages is a word: "invalid whole number value: '1.5'"."""
    names = {int: "whole number", float: "number"}
    if kind not in names:
        return kind

    def read(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"got {text!r}, expected a {names[kind]}") from None

    return read
