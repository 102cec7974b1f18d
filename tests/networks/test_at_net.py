import pytest
import torch

from talkface_lite.errors import InputError
from talkface_lite.networks.at_net import ATNet, ATNetConfig
from talkface_lite.networks.layers import count_parameters

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def lite():
    torch.manual_seed(0)
    return ATNet(ATNetConfig.lite()).eval()


@pytest.fixture(scope="module")
def memoryless():
    torch.manual_seed(0)
    return ATNet(ATNetConfig.lite(recurrent=False)).eval()


def inputs(n_batch=2, n_frames=12, seed=1):
    generator = torch.Generator().manual_seed(seed)
    mfcc = torch.randn(n_batch, n_frames, 28, 12, generator=generator)
    return mfcc, torch.randn(n_batch, 6, generator=generator)


@pytest.mark.parametrize(
    ("size", "recurrent", "count"),
    [
        ("full", True, 30_071_750),
        ("full", False, 27_833_862),
        ("lite", True, 931_518),
        ("lite", False, 460_774),
    ],
)
def test_parameter_counts(size, recurrent, count):
    with torch.device("meta"):
        network = ATNet(ATNetConfig.of_size(size, recurrent=recurrent))
    assert count_parameters(network) == count
    assert count <= 1_200_000 or size == "full"


def test_full_has_the_released_shapes():
    """Shapes of the released checkpoint, block by block (order of modules: face, audio, LSTM, output)."""
    with torch.device("meta"):
        shapes = {name: tuple(p.shape) for name, p in ATNet(ATNetConfig.full()).named_parameters()}
    convolutions = [s for s in shapes.values() if len(s) == 4]
    assert convolutions == [
        (64, 1, 3, 3),
        (128, 64, 3, 3),
        (256, 128, 3, 3),
        (256, 256, 3, 3),
        (512, 256, 3, 3),
    ]
    assert shapes["f_lmark.0.weight"] == (256, 6)
    assert shapes["f_lmark.2.weight"] == (512, 256)
    assert [s for n, s in shapes.items() if n.startswith("f_audio.8") and len(s) == 2] == [
        (2048, 12288),
        (256, 2048),
    ]
    assert shapes["lstm.weight_ih_l0"] == (1024, 768)
    assert shapes["lstm.weight_hh_l2"] == (1024, 256)
    assert "lstm.weight_ih_l3" not in shapes
    assert shapes["phi_lmark.weight"] == (6, 256)


def test_unknown_size():
    with pytest.raises(InputError, match="lite or full"):
        ATNetConfig.of_size("huge")


def test_shapes_and_state(lite, memoryless):
    mfcc, h_p = inputs()
    h, (hidden, cell) = lite(mfcc, h_p)
    assert h.shape == (2, 12, 6)
    assert hidden.shape == cell.shape == (3, 2, 128)
    h, state = memoryless(mfcc, h_p)
    assert h.shape == (2, 12, 6)
    assert state is None


def test_frames_at_once_equal_frame_by_frame(lite):
    """The loop of the released code: one window a step, the state handed on."""
    mfcc, h_p = inputs()
    at_once, _ = lite(mfcc, h_p)
    state, steps = None, []
    for t in range(mfcc.shape[1]):
        h, state = lite(mfcc[:, t : t + 1], h_p, state)
        steps.append(h)
    torch.testing.assert_close(torch.cat(steps, dim=1), at_once, atol=1e-6, rtol=0)


def test_changing_one_window_moves_no_earlier_frame(lite, memoryless):
    mfcc, h_p = inputs()
    changed = mfcc.clone()
    changed[0, 7] += 3
    before, after = lite(mfcc, h_p)[0], lite(changed, h_p)[0]
    assert torch.equal(before[0, :7], after[0, :7])
    assert ((before - after)[0, 7:].abs().amax(dim=-1) > 1e-7).all()
    before, after = memoryless(mfcc, h_p)[0], memoryless(changed, h_p)[0]
    moved = (before != after).any(dim=-1)[0]
    assert moved.tolist() == [t == 7 for t in range(12)]


def test_batch_neighbours_never_influence_each_other(lite, memoryless):
    mfcc, h_p = inputs(n_batch=3)
    other_mfcc, other_h_p = mfcc.clone(), h_p.clone()
    other_mfcc[0], other_h_p[0] = other_mfcc[0] * -2, other_h_p[0] + 5
    for network in (lite, memoryless):
        before, after = network(mfcc, h_p)[0], network(other_mfcc, other_h_p)[0]
        assert torch.equal(before[1:], after[1:])
        assert not torch.equal(before[0], after[0])


def test_the_face_matters_only_with_memory(lite, memoryless):
    mfcc, h_p = inputs()
    assert not torch.equal(lite(mfcc, h_p)[0], lite(mfcc, h_p + 1)[0])
    assert torch.equal(memoryless(mfcc, h_p)[0], memoryless(mfcc, h_p + 1)[0])


def test_standardising_equals_standardised_input(lite):
    mfcc, h_p = inputs()
    mean, std = torch.arange(12.0), torch.linspace(0.5, 4, 12)
    torch.manual_seed(0)
    network = ATNet(ATNetConfig.lite()).eval()
    network.standardise(mean, std)
    torch.testing.assert_close(network(mfcc * std + mean, h_p)[0], lite(mfcc, h_p)[0], atol=1e-5, rtol=0)
    assert torch.equal(network.state_dict()["mfcc_std"], std)


def test_pooling_sizes():
    """28×12 → 26×5 → 12×2, as the 12,288 inputs of the first fully connected layer require."""
    audio = ATNet(ATNetConfig.lite()).f_audio
    x = torch.zeros(1, 1, 28, 12)
    sizes = []
    for layer in list(audio)[:7]:
        x = layer(x)
        sizes.append(tuple(x.shape[2:]))
    assert sizes == [(28, 12), (28, 12), (26, 5), (26, 5), (26, 5), (26, 5), (12, 2)]


def test_no_batch_normalisation_without_memory():
    kinds = {type(m).__name__ for m in ATNet(ATNetConfig.lite(recurrent=False)).modules()}
    assert "BatchNorm2d" not in kinds
    assert "LSTM" not in kinds
