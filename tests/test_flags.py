"""Flags are made from dataclasses; what was not typed stays where its default is."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import pytest

from talkface_lite.errors import InputError
from talkface_lite.flags import add_flags, chosen, flags_of, paragraphs
from talkface_lite.systems.config import from_json, of_size


@dataclass(frozen=True, kw_only=True)
class Net:
    """A network.

    Parameters
    ----------
    width:
        Not a flag.
    deep:
        Whether it is deep.
    axis:
        Where it looks.
    """

    width: tuple[int, int] = (1, 2)
    deep: bool = field(default=True, metadata={"flag": "depth"})
    axis: Literal["time", "batch"] = "time"

    @classmethod
    def of_size(cls, size: str, **changes: object) -> Self:
        return cls(width=(1, 2) if size == "lite" else (10, 20), **changes)


@dataclass(frozen=True, kw_only=True)
class Config:
    """A part's settings.

    Parameters
    ----------
    net, rival:
        The networks; see :class:`Net`.
    kind:
        ``"a"`` is the paper's {cite}`someone2019`; 100 % ours is b.
    weight:
        How much
        it counts.
    pair:
        Two numbers.
    files:
        Two files.
    loud:
        Says more.
    most:
        The most, or none.
    side:
        One of two numbers.

    Raises
    ------
    InputError
        Never.
    """

    net: Net = field(default_factory=Net)
    rival: Net | None = None
    kind: Literal["a", "b"] = "a"
    weight: float = 0.5
    pair: tuple[float, float] = (0.5, 0.9)
    files: tuple[Path, Path] | None = None
    loud: bool = False
    most: int | None = None
    side: Literal[128, 256] = 128


def parse(*words, defaults=None):
    parser = argparse.ArgumentParser(exit_on_error=False)
    flags = flags_of(Config, defaults=defaults)
    add_flags(parser, "settings", flags)
    return chosen(parser.parse_args(words), flags), parser


def test_nothing_typed_is_nothing_chosen():
    assert parse()[0] == {}


def test_every_kind_of_setting():
    words = "--kind b --weight 2 --pair 1 2 --files x y --loud --most 3 --no-depth --axis batch --no-rival"
    typed, _ = parse(*words.split(" "), "--side", "256")
    assert typed == {
        "kind": "b", "weight": 2.0, "pair": (1.0, 2.0), "files": (Path("x"), Path("y")), "loud": True,
        "most": 3, "deep": False, "axis": "batch", "rival": None, "side": 256,
    }  # fmt: skip
    config = of_size(Config, "full", **typed)
    assert config.net == Net(width=(10, 20), deep=False, axis="batch")
    assert config.rival is None
    assert config.pair == (1.0, 2.0)
    assert of_size(Config, "lite").rival == Net(), "what may be left out is there unless it is"
    both = of_size(Config, "lite", deep=False)
    assert not both.net.deep
    assert not both.rival.deep, "a setting is for every network that has it"
    with pytest.raises(InputError, match="width_of_all"):
        of_size(Config, "lite", width_of_all=3)


def test_the_docstring_is_the_help():
    _, parser = parse(defaults={"weight": 7.0})
    text = " ".join(parser.format_help().split())
    assert "How much it counts. (default 7.0)" in text
    assert '"a" is the paper\'s; 100 % ours is b. (default a)' in text
    assert "--width" not in text
    assert "--side {128,256} One of two numbers. (default 128)" in text
    assert paragraphs(Config)["net"] == paragraphs(Config)["rival"]
    assert "Never" not in str(paragraphs(Config))


@dataclass(frozen=True, kw_only=True)
class Worded:
    """Settings whose paragraphs say what ``False`` and ``None`` do.

    Parameters
    ----------
    net:
        The network; None does without one.
    other:
        Another network.
    memory:
        False forgets everything: ``h = 0``.
    loud:
        Says more.
    most:
        How many; None takes what there is.
    """

    net: Net | None = None
    other: Net | None = None
    memory: bool = True
    loud: bool = True
    most: int | None = None


def test_the_help_says_what_the_flag_does_in_words_that_can_be_typed():
    texts = {flag.option: flag.arguments["help"] for flag in flags_of(Worded)}
    assert texts == {
        "--no-net": "Does without one.",
        "--no-depth": "Without it: Whether it is deep.",
        "--axis": "Where it looks. (default time)",
        "--no-other": "Without it. Another network.",
        "--no-memory": "Forgets everything: h = 0.",
        "--no-loud": "Without it: Says more.",
        "--most": "How many; left out, it takes what there is.",
    }


@pytest.mark.parametrize(
    "words", ["--weight much", "--most 1.5", "--kind c", "--width 3", "--side 64", "--side a"]
)
def test_wrong_values(words):
    with pytest.raises((argparse.ArgumentError, SystemExit)) as caught:
        parse(*words.split())
    assert "_reader" not in str(caught.value)


def test_configurations_survive_json():
    import json
    from dataclasses import asdict

    for config in (Config(), Config(rival=Net(deep=False), net=Net(width=(3, 4)), pair=(0.0, 1.0))):
        assert from_json(Config, json.loads(json.dumps(asdict(config)))) == config
    with pytest.raises(TypeError, match="unknown_setting"):
        from_json(Config, {"unknown_setting": 1})
    with pytest.raises(ValueError, match=r"shorter|longer"):
        from_json(Config, {"pair": [1.0]})
