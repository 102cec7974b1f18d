"""Configurations come back from JSON as they were, and build to a size, whatever system they belong to."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Literal

import pytest

from talkface_lite.errors import InputError
from talkface_lite.systems.config import (
    above_zero,
    default_of,
    from_json,
    nested,
    not_negative,
    of_size,
    one_of,
)


@dataclass(frozen=True, kw_only=True)
class Layers:
    """A network's own."""

    widths: tuple[int, ...] = (8, 4)
    pairs: tuple[tuple[int, float], ...] = ((1, 0.5), (2, 0.25))
    gated: bool = True

    @classmethod
    def of_size(cls, size: str, **changes: object) -> "Layers":
        return cls(**({"widths": (80, 40)} if size == "full" else {}) | changes)


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Another network's own."""

    depth: int = 2

    @classmethod
    def of_size(cls, size: str, **changes: object) -> "Judge":
        return cls(**({"depth": 7} if size == "full" else {}) | changes)


@dataclass(frozen=True, kw_only=True)
class Config:
    """A part's."""

    layers: Layers = field(default_factory=Layers)
    judge: Judge | None = None
    span: tuple[float, str] = (1.5, "s")
    words: tuple[str, ...] | None = None
    mode: Literal["a", "b"] = "a"
    rate: float | None = None


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config(layers=Layers(widths=(), pairs=()), judge=Judge(depth=3), words=(), rate=0.1),
        Config(
            layers=Layers(widths=(1, 2, 3), pairs=((3, 1.0),), gated=False), words=("one", "two"), mode="b"
        ),
    ],
)
def test_a_configuration_survives_json(config):
    """JSON has lists where the configuration has tuples, also in tuples, and no class of its own."""
    again = from_json(Config, json.loads(json.dumps(asdict(config))))
    assert again == config
    assert hash(again) == hash(config)
    assert isinstance(again.layers, Layers)
    assert all(isinstance(pair, tuple) for pair in again.layers.pairs)
    assert isinstance(again.judge, Judge) == (config.judge is not None)


def test_what_an_older_file_does_not_say_has_its_default():
    assert from_json(Config, {"layers": {"gated": False}}) == Config(layers=Layers(gated=False))
    with pytest.raises(TypeError, match="Config has no breadth or height"):
        from_json(Config, {"height": 1, "breadth": 2})
    with pytest.raises(TypeError, match="Layers has no depth"):
        from_json(Config, {"layers": {"depth": 1}})
    with pytest.raises(ValueError, match="zip"):
        from_json(Config, {"span": [1.5, "s", "more"]})


def test_networks_are_built_to_the_size_and_settings_go_where_they_belong():
    assert of_size(Config, "lite") == Config(judge=Judge())
    assert of_size(Config, "full") == Config(layers=Layers(widths=(80, 40)), judge=Judge(depth=7))
    assert of_size(Config, "full", judge=False).judge is None
    assert of_size(Config, "full", judge=None).judge is None
    changed = of_size(Config, "full", gated=False, depth=1, mode="b", rate=2.0)
    assert changed == Config(
        layers=Layers(widths=(80, 40), gated=False), judge=Judge(depth=1), mode="b", rate=2.0
    )
    own = Layers(widths=(3,))
    assert of_size(Config, "full", layers=own).layers is own
    with pytest.raises(InputError, match="setting: got colour, height, expected a field of Config"):
        of_size(Config, "lite", height=3, colour=2, depth=1)


def test_which_fields_are_networks():
    assert [(f.name, kind, optional) for f, kind, optional in nested(Config)] == [
        ("layers", Layers, False),
        ("judge", Judge, True),
    ]
    defaults = {f.name: default_of(f) for f in fields(Config)}
    assert defaults == asdict(Config()) | {"layers": Layers()}


@dataclass(frozen=True)
class Numbers:
    """Of a part, to be looked at."""

    weight: float = 0.0
    rate: float | None = None
    kind: str = "b"


@pytest.mark.parametrize(
    ("number", "is_not_negative", "is_above_zero"),
    [(1e-9, True, True), (0.0, True, False), (-1e-9, False, False), (float("nan"), False, False)],
)
def test_numbers_that_are_refused_are_named(number, is_not_negative, is_above_zero):
    for check, passes, expected in (
        (not_negative, is_not_negative, "0 or more"),
        (above_zero, is_above_zero, "more than 0"),
    ):
        check(Numbers(weight=1.0, rate=2.0), "weight", "rate")
        if passes:
            check(Numbers(weight=1.0, rate=number), "weight", "rate")
            continue
        with pytest.raises(InputError) as caught:
            check(Numbers(weight=1.0, rate=number), "weight", "rate")
        assert str(caught.value) == f"rate: got {number}, expected {expected}"
    above_zero(Numbers(rate=None), "rate", optional=True)
    with pytest.raises(TypeError):
        above_zero(Numbers(rate=None), "rate")


def test_words_that_are_refused_are_named():
    one_of(Numbers(kind="a"), "kind", Literal["a", "b"])
    with pytest.raises(InputError, match="kind: got 'c', expected a or b"):
        one_of(Numbers(kind="c"), "kind", Literal["a", "b"])
