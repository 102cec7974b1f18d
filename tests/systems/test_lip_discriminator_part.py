"""The lip reader as it learns, and how a trained one is asked."""

import numpy as np
import pytest
import torch
from recurrent_parts import make_batch
from small_networks import SMALL_LIP_READER
from torch.nn import functional as F

from talkface_lite.corpus.voice import GRID_WORDS
from talkface_lite.data.tensors import to_network
from talkface_lite.errors import InputError
from talkface_lite.networks.lip_reader import MOUTH_BOX, LipReaderConfig, mouths_of
from talkface_lite.systems.recurrent import LipDiscriminatorPart, LipDiscriminatorPartConfig

torch.set_num_threads(1)


def make_part(**options):
    torch.manual_seed(0)
    return LipDiscriminatorPart(LipDiscriminatorPartConfig(lip_discriminator=SMALL_LIP_READER, **options))


def test_it_learns_the_words_that_are_known():
    part, batch = make_part().eval(), make_batch()
    told = part.losses(batch)
    lips = mouths_of(to_network(batch.pictures[:2]))
    logits = part.lip_discriminator(lips, batch.spoken[:2])
    torch.testing.assert_close(told["loss"], F.cross_entropy(logits, batch.word[:2]))
    assert told["misread"] == (logits.argmax(dim=1) != batch.word[:2]).float().mean()


def test_targets_are_smoothed_while_it_learns_alone():
    part, batch = make_part(smoothing=0.5), make_batch()
    part.lip_discriminator.eval()
    smoothed = part.losses(batch)["loss"]
    logits = part.lip_discriminator(mouths_of(to_network(batch.pictures[:2])), batch.spoken[:2])
    torch.testing.assert_close(smoothed, F.cross_entropy(logits, batch.word[:2], label_smoothing=0.5))
    torch.testing.assert_close(part.eval().losses(batch)["loss"], F.cross_entropy(logits, batch.word[:2]))


def test_mouths_are_moved_while_it_learns_alone():
    left, top, side = MOUTH_BOX
    frames = torch.zeros(2, 1, 3, 128, 128)
    frames[:, :, :, top + 5, left + 7] = 1
    moved = mouths_of(frames, torch.tensor([[3, -2], [0, 0]]))
    wanted = torch.stack(
        [
            mouths_of(frames.roll((2, -3), dims=(3, 4)))[0],
            mouths_of(frames)[1],
        ]
    )
    torch.testing.assert_close(moved, wanted)
    part, batch = make_part(moved=6), make_batch()
    part.lip_discriminator.eval()
    losses = {float(part.losses(batch)["loss"].detach()) for _ in range(5)}
    assert len(losses) > 1
    part.eval()
    assert len({float(part.losses(batch)["loss"].detach()) for _ in range(3)}) == 1
    assert side + max(left, top) + 6 <= 128


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"smoothing": 1.0}, "smoothing: got 1.0, expected 0 to below 1"),
        ({"smoothing": -0.1}, "smoothing: got -0.1, expected 0 to below 1"),
        ({"moved": 7}, "moved: got 7, expected 0 to 6 px"),
    ],
)
def test_refused(options, match):
    with pytest.raises(InputError, match=match):
        make_part(**options)


def test_it_asks_for_windows_of_words():
    needs = LipDiscriminatorPart.needs
    assert (needs.words, needs.window, needs.pictures) == (GRID_WORDS, 20, True)


def test_it_knows_grids_words():
    with pytest.raises(InputError, match=r"lip_discriminator.words: got 500, expected 51, GRID's"):
        LipDiscriminatorPartConfig(lip_discriminator=LipReaderConfig.lite(words=500))
    assert np.isclose(float(make_part().eval().losses(make_batch())["loss"].detach()), np.log(51), atol=0.5)
