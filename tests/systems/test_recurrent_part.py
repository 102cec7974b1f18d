"""What the recurrent generator and its critics minimise, step by step, and when each of them joins."""

import json

import numpy as np
import pytest
import torch
from recurrent_parts import SETTINGS, make_batch, make_part
from small_networks import SMALL_LIP_READER
from torch.nn import functional as F

from talkface_lite.data.tensors import to_network
from talkface_lite.errors import InputError
from talkface_lite.losses import mouth_map
from talkface_lite.networks.landmark_reader import LandmarkReader
from talkface_lite.networks.lip_reader import mouths_of
from talkface_lite.systems import build_part
from talkface_lite.systems.adversaries import asked
from talkface_lite.systems.recurrent import GeneratorPart, LipDiscriminatorPart, LipDiscriminatorPartConfig
from talkface_lite.systems.recurrent import generator as module

torch.set_num_threads(1)
ALONE = {"discriminators": None, "lip_discriminator": None}
DISCRIMINATORS = ("image_discriminator", "video_discriminator", "lip_discriminator")


def weights_of(part, name):
    return torch.cat([p.detach().flatten().clone() for p in getattr(part, name).parameters()])


def step(part, batch, n=1):
    """``n`` updates, and which networks they changed."""
    optimizers = part.optimizers(SETTINGS)
    before = {name: weights_of(part, name) for name in part.networks()}
    for _ in range(n):
        told = part.training_step(batch, optimizers)
    changed = {name for name in before if not torch.equal(before[name], weights_of(part, name))}
    return told, changed, optimizers


def updates_of(optimizer):
    return {int(state["step"]) for state in optimizer.state.values()}


def test_each_critic_learns_in_every_update_and_its_loss_is_told():
    """The released trainer of the scheme without memory never steps the film critic's optimiser."""
    told, changed, optimizers = step(make_part(), make_batch(), 3)
    assert changed == {"generator", *DISCRIMINATORS}
    assert all(updates_of(optimizer) == {3} for optimizer in optimizers.values())
    assert {f"{name}_{side}" for name in DISCRIMINATORS for side in "dg"} | {"loss", "pixel"} == set(told)
    assert all(np.isfinite(float(value)) for value in told.values())


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_each_critic_can_be_left_out(name):
    part = make_part(**{f"{name.partition('_')[0]}_weight": 0.0})
    assert getattr(part, name) is None
    told, changed, _ = step(part, make_batch())
    assert changed == {"generator", *DISCRIMINATORS} - {name}
    assert not [key for key in told if key.startswith(name)]


def test_without_critics_there_is_eq_1_alone():
    part, batch = make_part(**ALONE), make_batch()
    assert set(part.networks()) == {"generator"}
    truth = to_network(batch.pictures)
    with torch.no_grad():
        made = part.generator(to_network(batch.photograph), batch.mfcc).made.frames
    error = (made - truth).abs().mean(dim=(2, 3, 4))[batch.mask].mean()
    told, _, _ = step(part, batch)
    torch.testing.assert_close(told["loss"], error)
    torch.testing.assert_close(told["pixel"], error)


def test_eq_5_written_out():
    batch = make_batch()
    part = make_part(lip_loss="fixed", image_weight=0.5, video_weight=0.25, lip_weight=2.0)
    optimizers = part.optimizers(SETTINGS)
    for name in DISCRIMINATORS:  # they learn before they are asked: let them stay as they are
        optimizers[name].param_groups[0]["lr"] = 0.0
        getattr(part, name).eval()
    truth = to_network(batch.pictures)
    with torch.no_grad():
        made = part.generator(to_network(batch.photograph), batch.mfcc).made.frames
        logits = {
            "image_discriminator": [part.image_discriminator(film[batch.mask]) for film in (truth, made)],
            "video_discriminator": [part.video_discriminator(film[:2]) for film in (truth, made)],
        }
        read = F.cross_entropy(part.lip_discriminator(mouths_of(made[:2]), batch.spoken[:2]), batch.word[:2])
    told = part.training_step(batch, optimizers)
    wanted = told["pixel"] + 2.0 * read
    for (name, (real, fake)), weight in zip(logits.items(), (0.5, 0.25), strict=True):
        learns = F.softplus(-real).mean() + F.softplus(fake).mean()
        torch.testing.assert_close(told[f"{name}_d"], learns, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(told[f"{name}_g"], F.softplus(-fake).mean(), atol=1e-4, rtol=1e-4)
        wanted = wanted + weight * F.softplus(-fake).mean()
    torch.testing.assert_close(told["lip_discriminator_g"], read, atol=1e-4, rtol=1e-4)
    assert "lip_discriminator_d" not in told
    torch.testing.assert_close(told["loss"], wanted, atol=1e-4, rtol=1e-4)


def test_a_schedule_says_when_each_joins():
    part, batch = make_part(discriminators_from=1, lips_from=2), make_batch()
    optimizers, joined = part.optimizers(SETTINGS), []
    for _ in range(3):
        told = part.training_step(batch, optimizers)
        joined.append({key.removesuffix("_d") for key in told if key.endswith("_d")})
    assert joined == [set(), {"image_discriminator", "video_discriminator"}, set(DISCRIMINATORS)]
    assert int(part.updates) == 3
    assert [updates_of(optimizers[name]) for name in DISCRIMINATORS] == [{2}, {2}, {1}]


def test_the_generator_pays_and_the_critics_are_not_taught_by_what_they_are_asked():
    part, batch, own = make_part(), make_batch(), {}
    optimizers = part.optimizers(SETTINGS)

    def gradients(name):
        return [parameter.grad.clone() for parameter in getattr(part, name).parameters()]

    for name in DISCRIMINATORS:
        optimizers[name].step = lambda name=name: own.update({name: gradients(name)})
    part.training_step(batch, optimizers)
    assert set(own) == set(DISCRIMINATORS)
    for name, before in own.items():  # the generator's loss came later, and added nothing
        assert all(torch.equal(a, b) for a, b in zip(before, gradients(name), strict=True))
    with asked(part.image_discriminator) as critic:
        assert not any(p.requires_grad for p in critic.parameters())
        film = torch.rand(1, 3, 128, 128, requires_grad=True)
        critic(film).sum().backward()
        assert film.grad.abs().sum() > 0
    assert all(p.requires_grad for p in part.image_discriminator.parameters())


def test_words_that_nobody_knows_are_not_read():
    part, batch = make_part(), make_batch()
    batch.word[:] = -1
    told, changed, _ = step(part, batch)
    assert changed == {"generator", "image_discriminator", "video_discriminator"}
    assert "lip_discriminator_g" not in told


def test_a_single_frame_of_one_word_is_read():
    part, batch = make_part(), make_batch()
    batch.word[1:] = -1
    batch.spoken[:] = False
    batch.spoken[0, 4] = True
    told, changed, _ = step(part, batch)
    assert "lip_discriminator" in changed
    assert all(torch.isfinite(value) for value in told.values())


def test_short_windows_are_no_films():
    part, batch = make_part(), make_batch()
    batch.mask[:, 9:] = False
    told, changed, _ = step(part, batch)
    assert "video_discriminator" not in changed
    assert "image_discriminator_d" in told


def test_a_film_has_nine_frames():
    for options, batch in (({}, make_batch(frames=8)), ({"painted": 8}, make_batch())):
        with pytest.raises(InputError, match="frames of a window, or painted: got 8, expected at least 9"):
            step(make_part(**options), batch)
        step(make_part(**options, video_weight=0.0), batch)
    step(make_part(), make_batch(frames=9))


def test_sorting_by_length_keeps_words_with_their_lips():
    """The released collater sorts pictures and sound by length, and forgets the labels."""
    part, batch = make_part(lip_loss="fixed", discriminators=None).eval(), make_batch()
    batch.spoken[0, 5:] = False
    order = torch.tensor([2, 1, 0])
    sorted_ = type(batch)(**{name: value[order] for name, value in batch.present().items()})
    costs = []
    for one in (batch, sorted_):
        optimizers = part.optimizers(SETTINGS)
        optimizers["generator"].step = lambda: None
        costs.append(part.training_step(one, optimizers)["lip_discriminator_g"])
    torch.testing.assert_close(*costs)
    mixed = sorted_
    mixed.word[:] = batch.word
    assert not torch.isclose(
        part.training_step(mixed, optimizers)["lip_discriminator_g"], costs[0], atol=1e-3
    )


def test_the_mouth_may_count_more():
    batch = make_batch()
    plain, weighted = make_part(**ALONE), make_part(
        **ALONE, mouth_weight=3.0
    )  # fmt: skip
    truth = to_network(batch.pictures)
    with torch.no_grad():
        made = plain.generator(to_network(batch.photograph), batch.mfcc).made.frames
    error = (made - truth).abs() * (1 + 3 * mouth_map(batch.landmarks))
    wanted = error.mean(dim=(2, 3, 4))[batch.mask].mean()
    told, _, _ = step(weighted, batch)
    torch.testing.assert_close(told["loss"], wanted)
    assert told["pixel"] < told["loss"]


def test_landmarks_are_read_off_the_memory():
    part, batch = make_part(**ALONE, landmark_weight=0.5), make_batch()
    assert isinstance(part.reader, LandmarkReader)
    with torch.no_grad():
        h = part.generator(to_network(batch.photograph), batch.mfcc).h
    told, changed, _ = step(part, batch)
    assert changed == {"generator", "reader"}
    other = make_part(**ALONE, landmark_weight=0.5)
    other.reader.remember(batch.moved[batch.mask])
    wanted = other.reader.error(other.reader(h), batch.moved)[batch.mask].mean()
    torch.testing.assert_close(told["misread"], wanted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(told["loss"], told["pixel"] + 0.5 * wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("scheme", ["recurrent", "frame", "sequential", "fed back"])
def test_listening_paints_nothing_and_asks_nobody(scheme):
    part, batch = make_part(reconstruction_weight=0.0, landmark_weight=1.0, scheme=scheme), make_batch()
    decoder = torch.cat([p.detach().flatten().clone() for p in part.generator.decoder.parameters()])
    told, changed, _ = step(part, batch)
    assert set(told) == {"loss", "misread"}
    assert changed == {"generator", "reader"}
    after = torch.cat([p.detach().flatten() for p in part.generator.decoder.parameters()])
    assert torch.equal(decoder, after)
    assert set(part.losses(batch)) == {"loss", "misread"}


def test_some_frames_are_painted():
    part, batch = make_part(**ALONE, painted=3), make_batch()
    chosen = part._chosen(batch.mask)
    assert chosen.shape == (3, 3)
    assert all(len(set(row.tolist())) == 3 for row in chosen)
    assert chosen[-1].max() < 4  # of those that exist
    assert part.eval()._chosen(batch.mask) is None
    part = make_part(painted=9)
    rows = {tuple(part._chosen(batch.mask)[0].tolist()) for _ in range(20)}
    assert all(row == tuple(range(row[0], row[0] + 9)) for row in rows)  # a critic wants a film
    assert {row[0] for row in rows} == {0, 1, 2}
    told, changed, _ = step(part, batch)
    assert "video_discriminator_d" in told
    assert changed == {"generator", *DISCRIMINATORS}


def test_the_mouths_of_the_frames_that_are_painted_count_more(monkeypatch):
    batch = make_batch()
    part = make_part(**ALONE, mouth_weight=3.0, painted=3)
    chosen = torch.tensor([[4, 0, 2], [10, 3, 1], [3, 0, 1]])
    monkeypatch.setattr(part, "_chosen", lambda mask: chosen)
    rows = torch.arange(3)[:, None]
    truth = to_network(batch.pictures)[rows, chosen]
    with torch.no_grad():
        made = part.generator(to_network(batch.photograph), batch.mfcc).made.frames[rows, chosen]
    counts = 1 + 3 * mouth_map(batch.landmarks[rows, chosen])
    wanted = ((made - truth).abs() * counts).mean()
    torch.testing.assert_close(part.losses(batch)["loss"], wanted, atol=1e-5, rtol=1e-4)


def test_held_out_figures_written_out():
    part, batch = make_part(**ALONE).eval(), make_batch()
    truth, there = to_network(batch.pictures), batch.mask[..., None, None, None]
    with torch.no_grad():
        made = part.generator(to_network(batch.photograph), batch.mfcc).made.frames
        found = part.held_out(batch)
    squared = ((made - truth) / 2) ** 2
    mouth = mouth_map(batch.landmarks) * there
    torch.testing.assert_close(found["mse"], squared[batch.mask].mean())
    torch.testing.assert_close(found["pixel"], (made - truth).abs()[batch.mask].mean())
    torch.testing.assert_close(found["mouth"], (squared * mouth).sum() / (3 * mouth.sum()))


def test_true_frames_are_shown_while_it_learns_and_not_when_it_talks():
    batch = make_batch()
    shown = []
    for share in (0.0, 1.0):
        part = make_part(**ALONE, scheme="fed back", teacher_forcing=share)
        told, _, _ = step(part, batch)
        shown.append(float(told["loss"]))
        held = part.eval().held_out(batch)
        assert set(held) == {"mouth", "mse", "pixel"}
    assert shown[0] != shown[1]


def test_a_lip_reader_of_the_package_is_taken_where_it_fits(tmp_path, monkeypatch):
    torch.manual_seed(5)
    known = LipDiscriminatorPart(LipDiscriminatorPartConfig(lip_discriminator=SMALL_LIP_READER))
    path = known.save(tmp_path / "lips.safetensors")
    monkeypatch.setattr(module, "shipped_weights", lambda *_: path)
    statistics = {"mfcc_mean": np.arange(12), "mfcc_std": np.full(12, 2.0)}
    for words, same in ((SMALL_LIP_READER, True), (None, None)):
        part = make_part(lip_discriminator=words)
        part.prepare(statistics)
        assert part.generator.audio_encoder.mfcc_mean.tolist() == list(range(12))
        assert (part.generator.audio_encoder.mfcc_std == 2).all()
        if same:
            torch.testing.assert_close(weights_of(part, "lip_discriminator").half().float(), weights_of(
                LipDiscriminatorPart.load(path), "lip_discriminator"))  # fmt: skip


def test_a_network_in_wrappers_is_prepared_and_read():
    class Wrapped(torch.nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, *what, **how):
            return self.module(*what, **how)

    part, batch = make_part(landmark_weight=1.0), make_batch()
    for name in part.networks():
        setattr(part, name, Wrapped(getattr(part, name)))
    part.prepare({"mfcc_mean": np.arange(12), "mfcc_std": np.ones(12)})
    assert part.generator.module.audio_encoder.mfcc_mean.tolist() == list(range(12))
    _, changed, _ = step(part, batch)
    assert changed == {"generator", "reader", *DISCRIMINATORS}


def test_what_is_told_holds_no_graph():
    part, batch = make_part(landmark_weight=1.0), make_batch()
    told = part.losses(batch)
    assert [name for name, value in told.items() if value.requires_grad] == ["loss"]
    assert not any(
        value.requires_grad for value in part.training_step(batch, part.optimizers(SETTINGS)).values()
    )
    listening = make_part(reconstruction_weight=0.0, landmark_weight=1.0).losses(batch)
    assert [name for name, value in listening.items() if value.requires_grad] == ["loss"]


def test_critics_are_not_kept_and_rates_are_their_own(tmp_path):
    part = make_part(discriminator_rate=0.5, landmark_weight=1.0)
    rates = {name: it.param_groups[0]["lr"] for name, it in part.optimizers(SETTINGS).items()}
    assert rates == dict.fromkeys(DISCRIMINATORS, 0.5) | {"generator": 1e-2, "reader": 1e-2}
    part.save(tmp_path / "w.safetensors")
    again = GeneratorPart.load(tmp_path / "w.safetensors")
    assert torch.equal(weights_of(again, "generator"), weights_of(part, "generator").half().float())
    assert torch.equal(weights_of(again, "reader"), weights_of(part, "reader").half().float())
    assert not torch.equal(
        weights_of(again, "image_discriminator"), weights_of(part, "image_discriminator").half().float()
    )


def test_who_has_no_words_is_told_how_to_do_without():
    assert "--no-lip-discriminator" in make_part().needs.otherwise
    assert make_part(lip_discriminator=None).needs.otherwise == ""


def test_the_window_of_the_sound_is_the_generators():
    assert make_part(rows=14).needs.rows == 14
    assert GeneratorPart.needs.rows == 35
    part = build_part("recurrent", "recurrent-generator", "lite", rows=7)
    assert part.needs.rows == 7


REFUSED = [
    ({"image_weight": -1.0}, "image_weight: got -1.0, expected 0 or more"),
    ({"lips_from": -1}, "lips_from: got -1, expected 0 or more"),
    ({"discriminator_rate": 0.0}, "discriminator_rate: got 0.0, expected more than 0"),
    ({"landmark_ridge": 0.0}, "landmark_ridge: got 0.0, expected above 0"),
    ({"lip_loss": "signed"}, "lip_loss: got 'signed', expected uniform or released or paper or fixed"),
    ({"teacher_forcing": 1.5}, "teacher_forcing: got 1.5, expected 0 to 1"),
    ({"painted": 0}, "painted: got 0, expected at least 1 frame"),
    ({"painted": 3, "scheme": "fed back"}, "painted: got given in the scheme 'fed back'"),
    ({"reconstruction_weight": 0.0}, "reconstruction_weight and landmark_weight: got 0"),
]


@pytest.mark.parametrize(("options", "match"), REFUSED)
def test_refused(options, match):
    with pytest.raises(InputError, match=match):
        make_part(**options)


def test_settings_can_be_written_as_json():
    part = make_part()
    about = json.loads(json.dumps(part.packed().about))
    assert GeneratorPart.from_config(about["config"]).config == part.config
