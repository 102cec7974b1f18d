"""Configurations come back from JSON as they were, and build to a size, whatever system they belong to."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Literal

import pytest

from talkface_lite.errors import InputError
from talkface_lite.systems.config import default_of, from_json, nested, of_size


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
