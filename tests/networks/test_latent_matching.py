"""Latent matching: sizes, equations, and what may influence what."""

import pytest
import torch
from small_networks import SMALL_LATENT_MATCHING
from torch import nn

from talkface_lite.errors import InputError
from talkface_lite.networks.latent_matching import LatentMatching, LatentMatchingConfig, generated
from talkface_lite.networks.layers import count_parameters, picked
from talkface_lite.networks.posteriors import LOGVAR_RANGE, AudioEncoder, Gaussian, GaussianLSTM

torch.set_num_threads(1)


def make(**changes):
    torch.manual_seed(0)
    from dataclasses import replace

    network = LatentMatching(replace(SMALL_LATENT_MATCHING, **changes))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.03, 0.3)
    with torch.no_grad():
        for parameter in network.frame_predictor.parameters():
            parameter.mul_(2)
    return network.eval()


def window(n=2, frames=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tiles = torch.rand(n, frames + 1, 3, 4, 4, generator=generator) * 2 - 1
    pictures = tiles.repeat_interleave(32, 3).repeat_interleave(32, 4)
    return pictures[:, 0], pictures[:, 1:], torch.randn(n, frames, 28, 12, generator=generator)


WIRINGS = [
    {"sees": sees, "photo_prior": prior, "memory": memory}
    for sees in ("previous", "first")
    for prior in (False, True)
    for memory in (True, False)
]


def test_sizes():
    with torch.device("meta"):
        counts = {
            name: count_parameters(part)
            for name, part in LatentMatching(LatentMatchingConfig.full()).named_children()
        }
        lite = {
            name: count_parameters(part)
            for name, part in LatentMatching(LatentMatchingConfig.lite()).named_children()
        }
    assert counts == {
        "frame_encoder": 4_962_688,
        "frame_decoder": 15_952_195,
        "audio_encoder": 13_806_976 + 704,  # batch normalisation, and no biases before it
        "frame_posterior": 571_696,
        "audio_posterior": 571_696,
        "frame_predictor": 1_124_736,
    }
    assert lite == {
        "frame_encoder": 321_632,
        "frame_decoder": 880_019,
        "audio_encoder": 470_320,
        "frame_posterior": 146_608,
        "audio_posterior": 146_608,
        "frame_predictor": 283_840,
    }


@pytest.mark.parametrize("wiring", WIRINGS, ids=str)
def test_shapes(wiring):
    network = make(**wiring)
    photo, frames, mfcc = window()
    made = network(photo, frames, mfcc, chosen=torch.tensor([[0, 3], [4, 1]]))
    for q in (made.of_frames, made.of_audio):
        assert q.mean.shape == q.logvar.shape == (2, 5, 4)
    assert made.z.shape == (2, 5, 4)
    assert made.painted.shape == (2, 2, 3, 128, 128)
    assert made.painted.abs().max() <= 1


def test_a_posterior_is_an_lstm_with_two_heads():
    torch.manual_seed(0)
    posterior = GaussianLSTM(6, 5, 3)
    codes = torch.randn(2, 7, 6)
    q, _ = posterior(codes)
    cell = nn.LSTMCell(5, 5)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in posterior.lstm.state_dict().items()})
    state = None
    for t in range(7):
        state = cell(posterior.embed(codes[:, t]), state)
        torch.testing.assert_close(q.mean[:, t], posterior.mean(state[0]))
        torch.testing.assert_close(q.logvar[:, t], posterior.logvar(state[0]))


def test_log_variances_stay_in_their_range_and_float32():
    posterior = GaussianLSTM(6, 5, 3)
    with torch.no_grad():
        posterior.logvar.bias.copy_(torch.tensor([-50.0, 0.0, 50.0]))
    with torch.autocast("cpu", torch.bfloat16):
        q, _ = posterior(torch.zeros(1, 1, 6, dtype=torch.bfloat16))
    assert q.logvar.dtype == q.mean.dtype == torch.float32
    assert (q.logvar[..., 0].item(), q.logvar[..., 2].item()) == LOGVAR_RANGE


def test_a_draw_has_the_mean_and_deviation_that_it_should():
    q = Gaussian(torch.tensor([1.0, -2.0]), torch.tensor([0.0, 2.0]).log() * 2)
    torch.manual_seed(0)
    drawn = q.sample(torch.randn(200_000, 2))
    torch.testing.assert_close(drawn.mean(0), q.mean, atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.std(0), torch.tensor([0.0, 2.0]), atol=0.02, rtol=0)


def test_a_draw_carries_the_gradient():
    """``dz/dμ = 1`` and ``dz/d ln σ² = ½ σ ε``."""
    mean, logvar = torch.tensor([0.3], requires_grad=True), torch.tensor([-1.2], requires_grad=True)
    noise = torch.tensor([1.7])
    Gaussian(mean, logvar).sample(noise).backward()
    assert mean.grad.item() == 1
    torch.testing.assert_close(logvar.grad, 0.5 * torch.exp(0.5 * logvar.detach()) * noise)


def test_every_layer_of_the_audio_encoder_is_followed_by_a_bend():
    """The released one's convolutions are not."""
    layers = [layer for layer in AudioEncoder((2, 3, 4, 4), 8, 6).modules() if not list(layer.children())]
    weighing = [number for number, layer in enumerate(layers) if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(weighing) == 6
    for number in weighing:
        following = [one for one in layers[number + 1 : number + 3] if not isinstance(one, nn.BatchNorm2d)]
        assert isinstance(following[0], nn.ReLU)


def test_the_audio_encoder_standardises():
    torch.manual_seed(0)
    encoder, standard = (AudioEncoder((2, 3, 4, 4), 8, 6).eval() for _ in range(2))
    standard.layers.load_state_dict(encoder.layers.state_dict())
    encoder.mfcc_mean.fill_(2.0)
    encoder.mfcc_std.fill_(3.0)
    mfcc = torch.randn(2, 3, 28, 12)
    code = encoder(mfcc)
    torch.testing.assert_close(code, standard((mfcc - 2) / 3))
    assert not torch.allclose(code, standard(mfcc), atol=1e-3)


@pytest.mark.parametrize("wiring", WIRINGS, ids=str)
def test_nothing_reaches_back_in_time_or_across_the_batch(wiring):
    """A change of one film's frame and sound at t changes nothing before t, and no other film."""
    network = make(**wiring)
    photo, frames, mfcc = window()
    torch.manual_seed(1)
    before = network(photo, frames, mfcc)
    changed, heard = frames.clone(), mfcc.clone()
    changed[0, 2] = -changed[0, 2]
    heard[0, 2] += 1
    torch.manual_seed(1)
    after = network(photo, changed, heard)
    memory = wiring["memory"]
    for one, other, lasting in (
        (before.of_frames.mean, after.of_frames.mean, memory),
        (before.of_audio.mean, after.of_audio.mean, memory),
        (before.painted, after.painted, True),
    ):
        differ = (one - other).flatten(2).abs().amax(-1) > 0
        assert differ[0].tolist() == [False, False, True, lasting, lasting]
        assert not differ[1].any()


@pytest.mark.parametrize("prior", [False, True])
def test_only_with_its_prior_the_photograph_is_in_z(prior):
    network = make(photo_prior=prior)
    photo, frames, mfcc = window()
    made, other = (network(one, frames, mfcc) for one in (photo, -photo))
    for name in ("of_frames", "of_audio"):
        same = torch.allclose(getattr(made, name).mean, getattr(other, name).mean, atol=1e-6)
        assert same == (not prior)


@pytest.mark.parametrize("wiring", WIRINGS, ids=str)
def test_taught_alone_or_not_at_all(wiring):
    """With x_{t-1} seen, what stands there decides; with the first frame seen, nothing is fed back."""
    network = make(**wiring)
    photo, frames, mfcc = window()
    films = []
    for share in (1.0, 0.0):
        torch.manual_seed(1)
        films.append(network(photo, frames, mfcc, true_share=share).painted)
    fed = wiring["sees"] == "previous"
    assert torch.allclose(films[0][:, 0], films[1][:, 0], atol=1e-6), "the photograph is before the first"
    assert torch.allclose(films[0][:, 1:], films[1][:, 1:], atol=1e-6) == (not fed)


def test_the_picture_before_a_window_is_what_its_first_frame_sees():
    network = make()
    photo, frames, mfcc = window()
    films = []
    for previous in (None, photo, -photo):
        torch.manual_seed(1)
        films.append(network(photo, frames, mfcc, previous).painted)
    assert torch.equal(films[0], films[1])
    assert not torch.allclose(films[0], films[2], atol=1e-4)


@pytest.mark.parametrize("sees", ["previous", "first"])
def test_without_teaching_training_and_talking_are_one(sees):
    network = make(sees=sees)
    photo, frames, mfcc = window()
    with torch.no_grad():
        made = network(photo, frames, mfcc, true_share=0.0)
        seen = network.look(photo)
        film, _, _ = generated(network, made.z, seen, None, None)
    torch.testing.assert_close(film.frames, made.painted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("sees", ["previous", "first"])
def test_what_is_spoken_is_the_film_of_the_means(sees):
    network = make(sees=sees)
    photo, frames, mfcc = window()
    chosen = torch.tensor([[0, 3], [4, 0]])
    with torch.no_grad():
        torch.manual_seed(1)
        made = network(photo, frames, mfcc, chosen=chosen, spoken=True)
        film, _, _ = generated(network, made.of_audio.mean, network.look(photo), None, None)
        torch.manual_seed(1)
        alone = network(photo, frames, mfcc, chosen=chosen)
    same = torch.isclose(picked(film.frames, chosen), made.spoken, atol=1e-5).all(dim=(2, 3, 4))
    assert same.tolist() == (
        [[True, True], [True, True]] if sees == "first" else [[True, False], [False, True]]
    )
    torch.testing.assert_close(alone.painted, made.painted)
    assert alone.spoken is None


@pytest.mark.parametrize("sees", ["previous", "first"])
def test_a_film_does_not_depend_on_its_stretches_nor_on_films_beside_it(sees):
    network = make(sees=sees, warp=True, normalised=True)
    photo, _, _ = window(1)
    with torch.no_grad():
        seen, z = network.look(photo), torch.randn(3, 7, 4)
        whole, _, _ = generated(network, z, seen, None, None)
        code = state = None
        parts = []
        for some in z.split([3, 1, 3], dim=1):
            film, code, state = generated(network, some, seen, code, state)
            parts.append(film)
        for name, value in whole._asdict().items():
            joined = torch.cat([getattr(part, name) for part in parts], 1)
            torch.testing.assert_close(joined, value, atol=1e-4, rtol=0, msg=name)
        alone, _, _ = generated(network, z[1:2], seen, None, None)
        torch.testing.assert_close(alone.frames, whole.frames[1:2], atol=1e-4, rtol=0)
    assert not torch.allclose(whole.frames[0], whole.frames[1], atol=1e-4)


def test_what_moves_passes_through_where_weights_begin_larger():
    """Of what changes in a film, four LSTMs as PyTorch initialises them let next to nothing through."""
    photo, frames, mfcc = window(3, 8)
    found = {}
    for gain in (1.0, 4.0):
        network = make(gain=gain, sees="first").train()
        g = network(photo, frames, mfcc).g
        found[gain] = g.std(dim=1).mean().item()
    assert found[4.0] > 5 * found[1.0]


def test_log_variances_begin_where_they_are_told():
    for gain in (1.0, 3.0):
        network = make(first_logvar=-6.0, gain=gain)
        made = network(*window())
        for q in (made.of_frames, made.of_audio):
            assert (q.logvar + 6).abs().max() < 1.5


def test_normalised_means_have_deviation_one_over_people_and_time():
    network = make(normalised=True, photo_prior=True).train()
    made = network(*window(4, 8))
    mean = made.of_frames.mean.flatten(0, 1)
    torch.testing.assert_close(mean.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(mean.std(0, unbiased=False), torch.ones(4), atol=0.02, rtol=0)
    assert network.audio_posterior.norm_means is None


def test_what_is_said_comes_through_however_large_its_codes_have_grown():
    photo, frames, mfcc = window(4, 8)
    for normalised in (True, False):
        network = make(normalised=normalised, photo_prior=True).train()
        means = []
        for grown in (1, 30):
            network.audio_encoder.layers[-1].register_forward_hook(lambda *given, by=grown: by * given[-1])
            means.append(network(photo, frames, mfcc).of_audio.mean)  # (4, 8, z)
        assert torch.allclose(*means, atol=1e-3) == normalised


@torch.no_grad()
def test_a_path_round_an_lstm_adds_a_linear_map_of_what_came_in():
    network = make(around=True, normalised=True, photo_prior=True)
    codes, z = torch.randn(2, 5, 12), torch.randn(2, 5, 4)  # of sound and photograph
    ear, predictor = network.audio_posterior, network.frame_predictor
    ear.norm_codes.running_mean.normal_()
    around = {part: part.around.weight.clone() for part in (ear, predictor)}
    both, g = ear(codes)[0], predictor(codes[..., :6], z)[0]
    for part in around:
        part.around.weight.zero_()
    memory, remembered = ear(codes)[0], predictor(codes[..., :6], z)[0]
    came_in = (codes - ear.norm_codes.running_mean) / (ear.norm_codes.running_var + 1e-5) ** 0.5
    torch.testing.assert_close(both.mean - memory.mean, came_in @ around[ear].T)
    torch.testing.assert_close(both.logvar, memory.logvar)
    torch.testing.assert_close(g.atanh() - remembered.atanh(), z @ around[predictor].T, atol=1e-4, rtol=0)


def test_one_frame_of_its_own_comes_through_the_path_round():
    """A lid that is shut in one frame is a number of z that jumps: LSTMs as they begin let little through."""
    passed = {}
    for around in (True, False):
        network = make(around=around, sees="first")
        seen, z = network.look(window(1)[0]), torch.zeros(1, 9, 4)
        blink = z.clone()
        blink[:, 4, 0] = 2
        with torch.no_grad():
            moved = network.predict(blink, seen)[0] - network.predict(z, seen)[0]  # (1, 9, code)
        passed[around] = moved[:, 4].abs().mean().item()
        assert not moved[:, :4].any()
    assert passed[True] > 3 * passed[False]


def test_some_frames_of_each_window():
    values = torch.arange(6).reshape(2, 3)
    assert picked(values, torch.tensor([[2, 0], [1, 1]])).tolist() == [[2, 0], [4, 4]]
    assert picked(values, None) is values


def test_wrong_words():
    with pytest.raises(InputError, match="sees: got 'both', expected previous or first"):
        LatentMatchingConfig(sees="both")
    with pytest.raises(InputError, match="size: got 'huge', expected lite or full"):
        LatentMatchingConfig.of_size("huge")


def test_what_did_not_move_has_no_code_of_its_own_while_training():
    """Photograph and frames are normalised together: a frame that is the photograph is 0 away from it."""
    network = make(photo_prior=True, sees="first").train()
    photo, _, mfcc = window(n=3)
    given = []
    network.frame_posterior.register_forward_pre_hook(lambda _, into: given.append(into[0]))
    network(photo, torch.stack((photo, photo.flip(-1)), dim=1), mfcc[:, :2])
    moved = given[0].abs().amax(dim=(0, 2))  # of the first frame, of the second
    assert moved[0] < 1e-5
    assert moved[1] > 0.01


@pytest.mark.parametrize(("sees", "more"), [("first", 1), ("previous", 2)])
def test_each_picture_is_encoded_once(sees, more):
    """Beside the frames the photograph; and where it is seen, the picture before the first of them."""
    network, given = make(sees=sees), []
    network.frame_encoder.register_forward_pre_hook(lambda _, into: given.append(len(into[0])))
    network(*window(n=2, frames=5))
    assert given == [2 * (5 + more)]


def test_it_runs_where_nothing_is_computed():
    """A diagram is drawn on torch's ``meta`` device, which has no mixed precision to turn off."""
    network = make(sees="first", warp=True).to("meta")
    made = network(*(part.to("meta") for part in window(n=2, frames=3)))
    assert made.painted.shape == (2, 3, 3, 128, 128)


def test_norms_learn_nothing_and_the_path_round_has_no_bias_of_its_own():
    plain = dict(GaussianLSTM(6, 5, 3).named_parameters())
    posterior = GaussianLSTM(6, 5, 3, norm_codes=True, norm_means=True, around=True)
    assert dict(posterior.named_parameters()).keys() - plain.keys() == {"around.weight"}


def test_while_learning_z_is_drawn_about_what_the_frames_say():
    network = make()
    photo, frames, mfcc = window(2, 40)
    drawn = []
    for seed in range(2):
        torch.manual_seed(seed)
        made = network(photo, frames, mfcc, chosen=torch.tensor([[0], [0]]))
        drawn.append((made.z - made.of_frames.mean) / torch.exp(0.5 * made.of_frames.logvar))
    assert torch.stack(drawn).mean().abs() < 0.15
    assert torch.stack(drawn).std().item() == pytest.approx(1, abs=0.12)
    assert (drawn[0] - drawn[1]).std() > 1.1


def test_the_defaults_are_the_papers():
    """What is ours is asked for by name."""
    config = LatentMatchingConfig()
    assert config == LatentMatchingConfig.full()
    assert (config.sees, config.z, config.first_logvar, config.gain) == ("previous", 24, 0.0, 1.0)
    assert (config.memory, config.skips) == (True, True)
    assert not any((config.photo_prior, config.normalised, config.around, config.warp))
