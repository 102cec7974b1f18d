from dataclasses import replace

import pytest
import torch

from talkface_lite.errors import InputError
from talkface_lite.networks.layers import count_parameters
from talkface_lite.networks.regression_discriminator import (
    RegressionDiscriminator,
    RegressionDiscriminatorConfig,
)

torch.set_num_threads(1)

TINY = RegressionDiscriminatorConfig(
    image=(2, 2, 2, 2), features=6, landmark=(4, 6), hidden=8, layers=2, unused_decoder=True
)


def make(**changes):
    torch.manual_seed(0)
    network = RegressionDiscriminator(replace(TINY, **changes))
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.05, 0.5)
    return network.eval()


def inputs(n_batch=2, n_frames=5, seed=1):
    generator = torch.Generator().manual_seed(seed)
    frames = torch.rand(n_batch, n_frames, 3, 128, 128, generator=generator) * 2 - 1
    return frames, torch.randn(n_batch, 136, generator=generator)


@torch.no_grad()
def judge(network, *arguments):
    return network(*arguments)


def test_parameter_counts():
    with torch.device("meta"):
        full = RegressionDiscriminator(RegressionDiscriminatorConfig.of_size("full"))
        lite = RegressionDiscriminator(RegressionDiscriminatorConfig.of_size("lite"))
    assert count_parameters(full) == 21_491_473
    assert count_parameters(full.decoder) == 594_568
    assert count_parameters(lite) < 600_000
    assert not hasattr(lite, "decoder")


def test_full_has_the_released_shapes():
    """Shapes of the released checkpoint, part by part; only the first convolution has a bias and no norm."""
    with torch.device("meta"):
        network = RegressionDiscriminator(RegressionDiscriminatorConfig.full())
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [tuple(m.weight.shape[:2]) for m in convolutions] == [(64, 3), (128, 64), (256, 128), (512, 256)]
    assert [m.bias is not None for m in convolutions] == [True, False, False, False]
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules()) == 3
    assert [s for n, s in shapes.items() if n.startswith("f_img.5") and len(s) == 2] == [(512, 512 * 8 * 8)]
    assert [s for n, s in shapes.items() if n.startswith("f_lmark") and len(s) == 2] == [
        (256, 136),
        (512, 256),
    ]
    assert shapes["lstm.weight_ih_l0"] == (4 * 256, 1024)
    assert shapes["lstm.weight_hh_l2"] == (4 * 256, 256)
    assert "lstm.weight_ih_l3" not in shapes
    assert shapes["to_landmarks.0.weight"] == (136, 256)
    assert shapes["to_score.weight"] == (1, 256)


@pytest.mark.parametrize("n_frames", [1, 5, 16, 23])
def test_films_of_any_length(n_frames):
    score, landmarks = judge(make(), *inputs(n_frames=n_frames))
    assert score.shape == (2,)
    assert landmarks.shape == (2, n_frames, 136)


@pytest.mark.parametrize("n_frames", [1, 6])
def test_frame_by_frame(n_frames):
    """The released code's loop: one frame a step, the state handed on, each step's score averaged."""
    network = make()
    frames, example = inputs(n_frames=n_frames)
    score, landmarks = judge(network, frames, example)
    state, scores, points = None, [], []
    with torch.no_grad():
        for frame in frames.unbind(1):
            joint = torch.cat((network.f_img(frame), network.f_lmark(example)), dim=1)
            memory, state = network.lstm(joint[:, None], state)
            scores.append(memory[:, 0] @ network.to_score.weight[0] + network.to_score.bias)
            head = network.to_landmarks[0]
            points.append(torch.tanh(memory[:, 0] @ head.weight.T + head.bias) + example)
    torch.testing.assert_close(score, sum(scores) / n_frames, atol=1e-6, rtol=0)
    torch.testing.assert_close(landmarks, torch.stack(points, dim=1), atol=1e-6, rtol=0)


def test_changing_one_frame_moves_no_earlier_landmark():
    network = make()
    frames, example = inputs(n_frames=6)
    changed = frames.clone()
    changed[0, 4] *= -1
    before, after = (judge(network, f, example)[1] for f in (frames, changed))
    assert (before != after).any(-1).tolist() == [[False] * 4 + [True] * 2, [False] * 6]


def test_padding_does_not_influence_the_score():
    network = make()
    frames, example = inputs(n_frames=6)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    score, landmarks = judge(network, frames, example, mask)
    noisy = frames.clone()
    noisy[1, 4:] = 100
    score_noisy, landmarks_noisy = judge(network, noisy, example, mask)
    assert torch.equal(score, score_noisy)
    assert torch.equal(landmarks[mask], landmarks_noisy[mask])
    assert not torch.equal(judge(network, frames, example)[0], judge(network, noisy, example)[0])
    # as if the film ended there
    for i, n in ((0, 6), (1, 4)):
        alone, _ = judge(network, frames[i : i + 1, :n], example[i : i + 1])
        torch.testing.assert_close(score[i : i + 1], alone, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(
        judge(network, frames, example, mask | True)[0], judge(network, frames, example)[0]
    )


def test_a_window_of_padding_alone_has_a_finite_score():
    score, _ = judge(make(), *inputs(n_frames=3), torch.zeros(2, 3, dtype=torch.bool))
    assert score.tolist() == [0, 0]


def test_landmarks_are_the_examples_plus_at_most_one_unit():
    network = make()
    frames, example = inputs()
    _, landmarks = judge(network, frames, example)
    assert (landmarks - example[:, None]).abs().max() <= 1
    assert (landmarks - example[:, None]).std() > 1e-3
    torch.nn.init.zeros_(network.to_landmarks[0].weight)
    torch.nn.init.zeros_(network.to_landmarks[0].bias)
    _, landmarks = judge(network, frames, example)
    assert torch.equal(landmarks, example[:, None].expand(-1, 5, -1))


def test_batch_neighbours_never_influence_each_other():
    network = make()
    frames, example = inputs(n_batch=3)
    other_frames, other_example = frames.clone(), example.clone()
    other_frames[0], other_example[0] = -other_frames[0], other_example[0] + 2
    before = judge(network, frames, example)
    after = judge(network, other_frames, other_example)
    for a, b in zip(before, after):
        assert torch.equal(a[1:], b[1:])
        assert not torch.equal(a[0], b[0])


def test_the_unused_decoder_learns_nothing_and_everything_else_learns():
    network = make().train()
    score, landmarks = network(*inputs())
    (score.sum() + landmarks.square().sum()).backward()
    for name, parameter in network.named_parameters():
        if name.startswith("decoder."):
            assert parameter.grad is None
            assert not parameter.requires_grad
        else:
            assert parameter.grad.abs().sum() > 0, name
    assert any(name.startswith("decoder.") for name, _ in network.named_parameters())


def test_unused_decoder_changes_nothing():
    frames, example = inputs()
    with_decoder = make()
    without = make(unused_decoder=False)
    without.load_state_dict(
        {name: v for name, v in with_decoder.state_dict().items() if not name.startswith("decoder.")}
    )
    for a, b in zip(judge(with_decoder, frames, example), judge(without, frames, example)):
        assert torch.equal(a, b)


def test_unknown_size():
    with pytest.raises(InputError, match="lite or full"):
        RegressionDiscriminatorConfig.of_size("huge")
