"""Three discriminators: sizes, what they see, and how the lip reader is taught."""

import math

import pytest
import torch
from torch.nn import functional as F

from talkface_lite.errors import InputError
from talkface_lite.losses import LIP_READING_LOSSES, lip_reading_loss
from talkface_lite.networks.layers import count_parameters
from talkface_lite.networks.lip_reader import LipReader, LipReaderConfig, mouths_of
from talkface_lite.networks.recurrent_discriminators import (
    DiscriminatorsConfig,
    ImageDiscriminator,
    VideoDiscriminator,
)

torch.set_num_threads(1)


def test_the_released_widths_have_the_released_counts():
    full = DiscriminatorsConfig.full()
    with torch.device("meta"):
        assert count_parameters(ImageDiscriminator(full.frame)) == 97_569
        assert count_parameters(VideoDiscriminator(full.film)) == 1_119_361
        assert count_parameters(LipReader(LipReaderConfig.full(words=500))) == 5_304_308
        lite = DiscriminatorsConfig.lite()
        assert count_parameters(ImageDiscriminator(lite.frame)) == 24_593
        assert count_parameters(VideoDiscriminator(lite.film)) == 72_481
        assert count_parameters(LipReader(LipReaderConfig.lite())) == 253_243


def test_patches():
    assert ImageDiscriminator((4, 4, 4, 4))(torch.randn(3, 3, 128, 128)).shape == (3, 8, 8)
    assert VideoDiscriminator((4, 4, 4))(torch.randn(2, 11, 3, 128, 128)).shape == (2, 3, 8, 8)


def test_a_patch_written_out():
    torch.manual_seed(0)
    critic, frames = ImageDiscriminator((3, 4, 4, 5)), torch.randn(2, 3, 128, 128)
    x = frames
    for block in critic.layers[:-1]:
        x = F.conv2d(x, block[0].weight, block[0].bias, 2, 1)
        x = (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
        x = torch.where(x > 0, x, 0.2 * x)
    wanted = (critic.layers[-1].weight[0, :, 0, 0, None, None] * x).sum(dim=1) + critic.layers[-1].bias
    torch.testing.assert_close(critic(frames), wanted, atol=1e-4, rtol=1e-4)
    film = VideoDiscriminator((3, 4, 4))
    assert {layer.negative_slope for layer in film.modules() if hasattr(layer, "negative_slope")} == {0.2}


def test_the_film_critic_sees_the_order_of_frames():
    torch.manual_seed(0)
    critic, film = VideoDiscriminator((4, 4, 4)).eval(), torch.randn(1, 9, 3, 128, 128)
    with torch.no_grad():
        assert not torch.allclose(critic(film), critic(film.flip(1)), atol=1e-4)


def reader(words=5):
    torch.manual_seed(0)
    return LipReader(LipReaderConfig.lite(words=words, features=8)).eval()


def test_the_lip_reader_reads_the_frames_of_the_word_alone():
    net, mouths = reader(), torch.randn(2, 6, 3, 40, 40)
    spoken = torch.tensor([[0, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]], dtype=torch.bool)
    with torch.no_grad():
        both = net(mouths, spoken)
        for row, cut in enumerate((slice(1, 4), slice(0, 2))):
            alone = mouths[row : row + 1, cut]
            one = net(alone, torch.ones(alone.shape[:2], dtype=torch.bool))
            torch.testing.assert_close(both[row : row + 1], one)
        whole = net(mouths)
        torch.testing.assert_close(whole, net(mouths, torch.ones(2, 6, dtype=torch.bool)))
    assert both.shape == (2, 5)


def test_as_many_places_as_films():
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        mouths_of(torch.zeros(2, 1, 3, 128, 128), torch.zeros(1, 2, dtype=torch.long))


def test_mouths_are_cut_where_they_are_and_can_be_taught_through():
    frames = torch.zeros(1, 2, 3, 128, 128, requires_grad=True)
    mouths = mouths_of(frames)
    assert mouths.shape == (1, 2, 3, 40, 40)
    mouths.sum().backward()
    seen = frames.grad[0, 0, 0] > 0
    rows, columns = (torch.nonzero(seen.any(dim=d))[:, 0] for d in (1, 0))
    assert (int(rows[0]), int(rows[-1])) == (70, 121)
    assert (int(columns[0]), int(columns[-1])) == (38, 89)
    assert seen.sum() == 52 * 52


def test_the_lip_critics_loss_written_out():
    torch.manual_seed(0)
    real, fake, word = torch.randn(3, 5), torch.randn(3, 5), torch.tensor([0, 4, 2])
    read, misread = F.cross_entropy(real, word), F.cross_entropy(fake, word)
    alike = -torch.log_softmax(fake, dim=1).mean(dim=1).mean()
    wanted = {
        "uniform": read + alike,
        "released": read + ((fake - 0.002) ** 2).mean(),
        "paper": read - misread,
        "fixed": read,
    }
    assert set(wanted) == set(LIP_READING_LOSSES)
    for kind, value in wanted.items():
        torch.testing.assert_close(lip_reading_loss(real, fake, word, kind), value)
    torch.testing.assert_close(lip_reading_loss(real, fake, word), wanted["uniform"])
    with pytest.raises(InputError, match="lip_loss: got 'signed'"):
        lip_reading_loss(real, fake, word, "signed")


def test_which_of_them_has_a_minimum():
    """The sign that the text of the paper wants: a word is misread ever more surely, without end."""
    word, real = torch.tensor([1]), torch.tensor([[0.0, 50.0, 0.0]])
    surely = [torch.tensor([[0.0, -size, 0.0]]) for size in (0.0, 10.0, 1000.0)]
    paper, ours = (
        [float(lip_reading_loss(real, one, word, kind)) for one in surely] for kind in ("paper", "uniform")
    )
    assert paper[0] > paper[1] > paper[2]
    assert paper[2] < -900
    assert ours[0] == pytest.approx(math.log(3), abs=1e-5)
    assert ours[0] < ours[1] < ours[2]
