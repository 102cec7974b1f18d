"""Fixtures of the tests of real recordings."""

import shutil
from pathlib import Path
from types import ModuleType

import films as films_made_on_the_spot
import pytest
from made_shards import shards_of

from talkface_lite.clip import Clip
from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.media import write_video
from talkface_lite.recordings.pipeline import prepare


@pytest.fixture(scope="session")
def films() -> ModuleType:
    """The helpers that make films: :mod:`films`, beside this file."""
    return films_made_on_the_spot


@pytest.fixture(scope="session")
def drawn() -> Clip:
    return draw_clip(5, text="bin blue at f two now", view="camera", clean=True)


@pytest.fixture(scope="session")
def tree(tmp_path_factory, drawn) -> Path:
    """A GRID-shaped tree: one film of a drawn person twelve times over, one broken file."""
    root = tmp_path_factory.mktemp("grid")
    (root / "s1").mkdir()
    film = write_video(root / "s1" / "film00.mp4", drawn.frames[:24], drawn.speech[: 24 * 640])
    for n in range(1, 12):
        speaker = root / f"s{1 + n % 3}"
        speaker.mkdir(exist_ok=True)
        shutil.copy(film, speaker / f"film{n:02d}.mp4")
    (root / "s2" / "broken.mp4").write_text("this is not a film")
    align = root / "align" / "s1"
    align.mkdir(parents=True)
    (align / "film00.align").write_text("0 5000 sil\n5000 12000 bin\n12000 30000 blue\n")
    return root


@pytest.fixture(scope="session")
def prepared(tree, tmp_path_factory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("out") / "shards"
    return out, prepare("grid", tree, out, detector="dlib", workers=1, per_shard=4)


@pytest.fixture(scope="session")
def one_by_one(tree, tmp_path_factory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("one") / "out"
    prepare("grid", tree, out, detector="dlib", workers=1, per_shard=1)
    return shards_of(out)
