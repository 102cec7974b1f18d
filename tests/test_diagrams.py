"""A diagram shows what its network does: shapes, parameters, arrows; and every text in it can be read."""

import ast
import itertools
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch
from matplotlib.patches import PathPatch
from torch import nn

from talkface_lite.diagrams import Block, draw_network, rounded, short
from talkface_lite.errors import InputError
from talkface_lite.networks.at_net import ATNet, ATNetConfig
from talkface_lite.networks.latent_matching import LatentMatching, LatentMatchingConfig
from talkface_lite.networks.lip_reader import LipReader, LipReaderConfig
from talkface_lite.networks.ltv_net import LTVNet, LTVNetConfig, times_each
from talkface_lite.networks.patch_discriminator import PatchDiscriminator, PatchDiscriminatorConfig
from talkface_lite.networks.recurrent_discriminators import (
    DiscriminatorsConfig,
    ImageDiscriminator,
    VideoDiscriminator,
)
from talkface_lite.networks.recurrent_generator import RecurrentGenerator, RecurrentGeneratorConfig
from talkface_lite.networks.regression_discriminator import (
    RegressionDiscriminator,
    RegressionDiscriminatorConfig,
)
from talkface_lite.networks.stl_net import STLNet, STLNetConfig
from talkface_lite.networks.vg_net import VGNet, VGNetConfig
from talkface_lite.shapes import measure

GIVEN = {"mfcc": ("B", "T", 28, 12), "h_p": ("B", 6)}
LAYOUT = {
    "given mfcc": Block(symbol="$a_t$", at=(0.4, 0.4), kind="tensor"),
    "given h_p": Block(symbol="$h_p$", at=(0.4, 1.5), kind="tensor"),
    "f_audio": Block(symbol="ears", at=(1.6, 0.4), after=("given mfcc",)),
    "f_lmark": Block(symbol="eyes", at=(1.6, 1.5), after=("given h_p",), role="truth"),
    "lstm": Block(symbol="LSTM", at=(3.2, 0.9), after=("f_audio", "f_lmark"), loop="$c_{t-1}$", note="Eq. 3"),
    "phi_lmark": Block(symbol="out", at=(4.7, 0.9), after=("lstm",)),
    "made 0": Block(symbol="$h_t$", at=(5.8, 0.9), after=("phi_lmark",), kind="tensor"),
}


class BothBranches(nn.Module):
    """STL net's two branches by themselves: what stands in the chapter's diagram of Eqs. 4 and 5."""

    def __init__(self, config):
        super().__init__()
        whole = STLNet(config)
        self.lips, self.head = whole.lips, whole.head

    def forward(self, a, mouth, head):
        return self.lips(a, mouth, None)[0], self.head(a, head, None)[0]


BOOK = Path(__file__).resolve().parents[1] / "book"


def built_in(page, name):
    """A class that stands in a cell of a chapter: a network in the open, of a package's class.

    Its diagram needs no points, which nothing can draw where there are shapes alone.
    """
    (page,) = BOOK.glob(f"*/{page}.ipynb")
    (source,) = (c.source for c in nbformat.read(page, 4).cells if c.source.startswith(f"class {name}("))
    names = {"LTVNet": LTVNet, "times_each": times_each, "torch": torch}
    exec(source, names)
    return names[name]


CHAPTERS = {
    "at-net": (ATNet(ATNetConfig.lite()), GIVEN),
    "mmcrnn": (
        VGNet(VGNetConfig.lite()),
        {"photo": ("B", 3, 128, 128), "example": ("B", 136), "landmarks": ("B", "T", 136)},
    ),
    "regression-discriminator": (
        RegressionDiscriminator(RegressionDiscriminatorConfig.lite()),
        {"frames": ("B", "T", 3, 128, 128), "example": ("B", 136)},
    ),
    "vae-latent-matching": (
        LatentMatching(LatentMatchingConfig.full()),
        {"photo": ("B", 3, 128, 128), "frames": ("B", "T", 3, 128, 128), "mfcc": ("B", "T", 28, 12)},
    ),
    "three-generation-schemes": (
        RecurrentGenerator(RecurrentGeneratorConfig.full()),
        {"photo": ("B", 3, 128, 128), "mfcc": ("B", "T", 35, 12)},
    ),
    "three-generation-schemes 1": (
        ImageDiscriminator(DiscriminatorsConfig().frame),
        {"frames": ("B·T", 3, 128, 128)},
    ),
    "three-generation-schemes 2": (
        VideoDiscriminator(DiscriminatorsConfig().film),
        {"film": ("B", "T", 3, 128, 128)},
    ),
    "lip-reading-discriminator": (
        LipReader(LipReaderConfig.lite()),
        {"mouths": ("B", "T", 3, 40, 40)},
    ),
    "wing-loss-with-attention": (
        BothBranches(STLNetConfig.full()),
        {"a": ("B", "T", 28, 12), "mouth": ("B", 21, 2), "head": ("B", 50, 2)},
    ),
    "attention-in-the-generator": (
        built_in("attention-in-the-generator", "InTheOpen")(LTVNetConfig.lite()),
        {"photo": ("B", 3, 128, 128), "own": ("B", 3, 128, 128), "drawing": ("B", "T", 3, 128, 128)},
    ),
    "attention-in-the-generator 1": (
        PatchDiscriminator(PatchDiscriminatorConfig.lite()),
        {"frames": ("B·T", 3, 128, 128), "drawing": ("B·T", 3, 128, 128)},
    ),
}


def texts(figure):
    """What the figure says: shapes by the block's name, and everything."""
    (ax,) = figure.axes
    return {t.get_gid(): t.get_text() for t in ax.texts if t.get_gid()}, [t.get_text() for t in ax.texts]


def layout_of(chapter):
    """The layout that stands in a chapter's cell, or in that of a number."""
    page, _, number = chapter.partition(" ")
    (page,) = BOOK.glob(f"*/{page}.ipynb")
    cells = [c.source for c in nbformat.read(page, 4).cells if c.cell_type == "code"]
    drawing = [source for source in cells if "draw_network(" in source and "Block(" in source]
    assert len(drawing) == sum(name.partition(" ")[0] == chapter.partition(" ")[0] for name in CHAPTERS)
    source = drawing[int(number or 0)]
    (assigned,) = (
        n for n in ast.parse(source).body if isinstance(n, ast.Assign) and "Block(" in ast.unparse(n)
    )
    names = {"Block": Block}
    exec(ast.unparse(assigned), names)
    return names[ast.unparse(assigned.targets[0])]


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_shapes_and_parameters_are_measured():
    network = ATNet(ATNetConfig.lite())
    by_block, all_texts = texts(draw_network(network, LAYOUT, GIVEN))
    assert by_block["given mfcc"] == "28×12"
    assert by_block["f_audio"] == by_block["f_lmark"] == str(network.config.audio[1])
    assert by_block["lstm"] == str(network.config.hidden)
    assert by_block["made 0"] == "6"
    assert "phi_lmark" not in by_block  # what it gives stands in the block behind it
    for part in ("f_audio", "f_lmark", "lstm", "phi_lmark"):
        assert rounded(sum(p.numel() for p in getattr(network, part).parameters())) in all_texts
    assert {"$a_t$", "ears", "LSTM", "Eq. 3", "$c_{t-1}$", "3 layers", "5 conv, 2 pool"} <= set(all_texts)


def test_another_width_is_another_diagram():
    wide = ATNetConfig(channels=(8, 16, 32, 32, 64), audio=(256, 100), landmark=(64, 50), hidden=90, layers=2)
    by_block, all_texts = texts(draw_network(ATNet(wide), LAYOUT, GIVEN))
    assert (by_block["f_audio"], by_block["f_lmark"], by_block["lstm"]) == ("100", "50", "90")
    assert "2 layers" in all_texts
    _, all_texts = texts(draw_network(ATNet(replace(wide, layers=1)), LAYOUT, GIVEN))
    assert "1 layer" in all_texts


def test_an_arrow_for_each_edge_dashed_where_a_film_needs_it_once():
    figure = draw_network(ATNet(ATNetConfig.lite()), LAYOUT, GIVEN)
    lines = [p for p in figure.axes[0].patches if type(p) is PathPatch]
    dashed = [line for line in lines if line.get_linestyle() != "solid" and line.get_linestyle() != "-"]
    assert len(lines) == sum(len(block.after) for block in LAYOUT.values()) == 6
    assert len(dashed) == 2  # from h_p, and from the network that reads it
    starts = sorted(tuple(line.get_path().vertices[0]) for line in dashed)
    np.testing.assert_allclose(starts, [(0.4 + 0.32, 1.5), (1.6 + 0.45, 1.5)])


def test_a_block_after_one_that_is_not_there():
    with pytest.raises(InputError, match="blocks after ears"):
        draw_network(
            ATNet(ATNetConfig.lite()), {"lstm": Block(symbol="L", at=(0, 0), after=("ears",))}, GIVEN
        )


def test_shapes_in_short():
    assert short((64, 32, 32)) == "64×32²"
    assert short((3, 40, 30)) == "3×40×30"
    assert short((12, 12)) == "12×12"
    assert short(()) == "1"


@pytest.mark.parametrize(
    ("count", "said"), [(999, "999"), (1000, "1 k"), (999_900, "1 M"), (30_071_750, "30.1 M")]
)
def test_counts_in_short(count, said):
    assert rounded(count) == said


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_chapters_diagrams_can_be_read(chapter):
    network, given = CHAPTERS[chapter]
    layout = layout_of(chapter)
    figure = draw_network(network, layout, given)
    by_block, _ = texts(figure)
    places = {name: name if block.measure is None else block.measure for name, block in layout.items()}
    for name, measured in measure(network, places, given).items():
        if name in by_block:
            assert by_block[name] == short(measured.shape)
    trainable = sum(p.numel() for p in network.parameters())
    boxes = {n: p for n, p in places.items() if layout[n].kind == "network"}
    assert sum(m.parameters for m in measure(network, boxes, given).values()) == trainable  # nothing left out
    figure.canvas.draw()
    page = figure.get_window_extent()
    arrows = [p for p in figure.axes[0].patches if type(p) is PathPatch]
    lines = [arrow.get_path().transformed(arrow.get_transform()) for arrow in arrows]
    said = [t for t in figure.axes[0].texts if t.get_text()]
    assert min(t.get_fontsize() for t in said) >= 7.5
    extents = [t.get_window_extent() for t in said]
    for text, extent in zip(said, extents):
        assert page.contains(extent.x0, extent.y0), text.get_text()
        assert page.contains(extent.x1, extent.y1), text.get_text()
    for (a, one), (b, other) in itertools.combinations(zip(said, extents), 2):
        overlap = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(overlap) < 6, f"{a.get_text()} lies on {b.get_text()}"  # dots of 200 an inch
    for text, extent in zip(said, extents):
        crossed = [line for line in lines if line.intersects_bbox(extent.padded(-3), filled=False)]
        assert not crossed, f"an arrow crosses {text.get_text()}"
