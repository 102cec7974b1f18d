"""The training loop on a part of a few numbers: what is called when, and what is left in the folder."""

import csv
import json
import math
import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from talkface_lite.data.dataset import Dataset
from talkface_lite.data.features import Features
from talkface_lite.data.needs import Batch, Needs
from talkface_lite.errors import InputError
from talkface_lite.systems.part import Part, read_weights
from talkface_lite.training import TrainingSettings, train
from talkface_lite.training.record import run_record

torch.set_num_threads(1)


class Toy(Part):
    """Landmarks are a linear function of the loudness; what happens to it is written down."""

    system, name, network_names = "toy", "line", ("net",)
    needs = Needs(window=4)

    def __init__(self, config: object = None) -> None:
        super().__init__(config or self.config_class())
        self.net = nn.Sequential(nn.Linear(12, 4), nn.BatchNorm1d(4), nn.Dropout(0.2), nn.Linear(4, 1))
        self.register_buffer("mfcc_mean", torch.zeros(12))
        self.seen, self.rates, self.modes, self.drawn = [], [], [], []

    def prepare(self, statistics: Mapping[str, np.ndarray]) -> None:
        self.mfcc_mean.copy_(torch.from_numpy(statistics["mfcc_mean"]))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        self.modes.append(self.training)
        heard = (batch.mfcc.mean(2) - self.mfcc_mean)[batch.mask]
        truth = batch.landmarks[batch.mask].mean((1, 2)) / 64 - 1
        loss = ((self.net(heard)[:, 0] - truth) ** 2).mean()
        return {"loss": loss, "twice": 2 * loss.detach()}

    def training_step(self, batch, optimizers, backward=Tensor.backward):
        self.seen.append(batch.landmarks)
        self.rates.append({n: o.param_groups[0]["lr"] for n, o in optimizers.items()})
        self.drawn.append(torch.rand(1).item())
        return super().training_step(batch, optimizers, backward)


class Rivals(Toy):
    """Two networks with an optimiser each, at rates of their own."""

    network_names = ("net", "judge", "absent")

    def __init__(self, config: object = None) -> None:
        super().__init__(config)
        self.judge, self.absent = nn.Linear(12, 1), None

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        found = super().losses(batch)
        judged = self.judge(batch.mfcc.mean(2)[batch.mask]).square().mean()
        return {"loss": found["loss"] + judged, "judged": judged.detach()}

    def optimizers(self, settings: TrainingSettings) -> dict[str, torch.optim.Optimizer]:
        return {
            name: torch.optim.Adam(getattr(self, name).parameters(), lr=settings.learning_rate * times)
            for name, times in (("net", 1), ("judge", 3))
        }


def make_data(n_clips: int = 4, seed: int = 0, **changes) -> Dataset:
    rng = np.random.default_rng(seed)
    clips = [
        Features(
            rows=rng.standard_normal((4 * (9 + i) + 28, 12)).astype(np.float32) + 3,
            landmarks=rng.uniform(20, 100, (10 + i, 68, 2)).astype(np.float32),
        )
        for i in range(n_clips)
    ]
    return Dataset(clips, needs=Toy.needs, **changes)


SETTINGS = TrainingSettings(steps=6, batch_size=3, checkpoint_every=2, log_every=2, learning_rate=0.01)


def fresh(kind: type = Toy, seed: int = 0) -> Toy:
    torch.manual_seed(seed)
    return kind()


def run(out, settings=SETTINGS, part=None, data=None, **options):
    part = part or fresh()
    result = train(part, data or make_data(), out, settings, **{"progress": False, **options})
    return part, result


def rows_of(out) -> list[dict[str, str]]:
    with (out / "log.csv").open() as file:
        return list(csv.DictReader(file))


def checkpoints(out) -> list[str]:
    return [path.name for path in sorted((out / "checkpoints").iterdir())]


def last_state(out) -> dict[str, Tensor]:
    return load_file(out / "checkpoints" / checkpoints(out)[-1])


# --- what is in weights, record and log ---


def test_weights_and_record_say_where_they_come_from(tmp_path):
    data = make_data(mfcc_shift=0.1)
    part, result = run(tmp_path / "run", data=data)
    about, tensors = read_weights(result.weights)
    assert result.weights == tmp_path / "run" / "weights.safetensors"
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert about["record"] == record == result.record
    assert (about["system"], about["part"]) == (record["system"], record["part"]) == ("toy", "line")
    assert record["parameters"] == {"net": 12 * 4 + 4 + 8 + 4 + 1}
    assert record["settings"] == json.loads(json.dumps(SETTINGS.__dict__))
    assert record["data"]["digest"] == data.digest
    assert record["data"]["settings"]["mfcc_shift"] == 0.1
    assert record["data"]["settings"]["window"] == record["window"] == 4
    assert record["data"]["settings"]["streaming"] is False
    assert "workers" not in record["data"]["settings"]
    assert record["data"]["needs"]["window"] == 4
    assert (record["step"], record["clips"], record["frames"]) == (6, 4, 10 + 11 + 12 + 13)
    assert record["windows_seen"] == 6 * 3
    assert record["start_from"] == ""
    assert record["torch"] == torch.__version__
    assert "CPU, 1 threads" in record["device"]
    assert 20 < record["peak_memory_mib"] < 100_000
    assert record["losses"] == result.losses
    assert set(result.losses) == {"loss", "twice"}
    # standardised input: the statistics are taken before the first step and travel with the weights
    np.testing.assert_allclose(tensors["mfcc_mean"], data.statistics()["mfcc_mean"], rtol=1e-6)
    assert tensors["mfcc_mean"].mean() > 2
    for name, value in part.state_dict().items():
        torch.testing.assert_close(tensors[name].float(), value.float(), atol=1e-3, rtol=1e-3)


def test_every_line_of_the_log_is_a_step_with_its_time_rate_and_losses(tmp_path):
    began = time.monotonic()
    _, result = run(tmp_path, replace(SETTINGS, steps=7, log_every=3, schedule="cosine"))
    passed = time.monotonic() - began
    rows = rows_of(tmp_path)
    assert [row["step"] for row in rows] == ["3", "6", "7"]
    assert list(rows[0]) == ["step", "seconds", "learning_rate", "loss", "twice"]
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds)
    assert seconds[0] >= 0
    assert seconds[-1] <= passed + 0.1
    assert 0 < result.record["seconds"] + 0.1 <= passed + 0.2
    # the rate of the update that has just been made: step 3 is the one numbered 2
    wanted = [0.01 * (1 + math.cos(math.pi * (step - 1) / 7)) / 2 for step in (3, 6, 7)]
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx(wanted, rel=0.01)
    for row in rows:
        assert float(row["twice"]) == pytest.approx(2 * float(row["loss"]), rel=1e-4)
    assert result.losses["loss"] == pytest.approx(float(rows[-1]["loss"]), rel=1e-4)


def test_the_first_step_has_the_loss_of_fresh_weights(tmp_path):
    part, untouched, data = fresh(), fresh(), make_data()
    run(tmp_path, replace(SETTINGS, steps=1, log_every=1), part)
    untouched.prepare(data.statistics())
    torch.manual_seed(0)
    torch.rand(1)  # Toy draws one number in each step
    expected = untouched.losses(next(data.batches(3, 0)))["loss"].item()
    assert float(rows_of(tmp_path)[0]["loss"]) == pytest.approx(expected, rel=1e-4)
    # and one update of Adam moves every weight by the learning rate
    moved = (part.net[3].weight - untouched.net[3].weight).detach().abs()
    assert moved.max() == pytest.approx(0.01, rel=0.01)


def test_a_run_trains_in_training_mode_whatever_mode_the_part_came_in(tmp_path):
    part, _ = run(tmp_path, part=fresh().eval())
    assert part.modes == [True] * 6


def test_rates_fall_each_from_its_own_and_stay_where_the_schedule_is_constant(tmp_path):
    part, _ = run(tmp_path / "a", part=fresh(Rivals))
    assert part.rates == [{"net": 0.01, "judge": pytest.approx(0.03)}] * 6
    part, _ = run(tmp_path / "b", replace(SETTINGS, schedule="cosine"), part=fresh(Rivals))
    for step, rates in enumerate(part.rates):
        scale = 0.5 * (1 + math.cos(math.pi * step / 6))
        assert rates == {"net": pytest.approx(0.01 * scale), "judge": pytest.approx(0.03 * scale)}
    # beside the log's own, a part's losses may have any names
    assert set(rows_of(tmp_path / "b")[0]) == {"step", "seconds", "learning_rate", "loss", "judged"}


def test_the_batches_are_those_of_the_seed_and_so_is_what_is_drawn(tmp_path):
    part, _ = run(tmp_path / "a", replace(SETTINGS, seed=5))
    stream = make_data().batches(3, 5)
    for seen in part.seen:
        assert torch.equal(seen, next(stream).landmarks)
    again, _ = run(tmp_path / "b", replace(SETTINGS, seed=5), part=fresh(seed=0))
    other, _ = run(tmp_path / "c", replace(SETTINGS, seed=6))
    assert part.drawn == again.drawn
    assert part.drawn[0] != other.drawn[0]
    torch.manual_seed(5)
    assert part.drawn[0] == torch.rand(1).item()


# --- stopping, going on ---


def test_the_last_two_checkpoints_stay_and_the_last_step_always_has_one(tmp_path):
    run(tmp_path / "a", replace(SETTINGS, steps=7))
    assert checkpoints(tmp_path / "a") == ["step-00000006.safetensors", "step-00000007.safetensors"]
    run(tmp_path / "b", replace(SETTINGS, steps=3, checkpoint_every=100))
    assert checkpoints(tmp_path / "b") == ["step-00000003.safetensors"]
    state = last_state(tmp_path / "b")
    assert {name.split(".")[0] for name in state} == {"system", "optimizer", "random"}


@pytest.mark.parametrize("kind", [Toy, Rivals])
@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path, kind, stop):
    part, straight = run(tmp_path / "straight", part=fresh(kind))
    first, _ = run(tmp_path / "two", replace(SETTINGS, steps=stop), part=fresh(kind))
    time_spent = json.loads((tmp_path / "two" / "record.json").read_text())["seconds"]
    second, resumed = run(tmp_path / "two", part=fresh(kind, seed=9), resume=True)
    assert len(first.seen) + len(second.seen) == len(part.seen)
    assert first.drawn + second.drawn == part.drawn
    a, b = last_state(tmp_path / "straight"), last_state(tmp_path / "two")
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name
    assert resumed.record["seconds"] >= time_spent
    drop = ("seconds", "peak_memory_mib")
    records = [{k: v for k, v in r.record.items() if k not in drop} for r in (straight, resumed)]
    assert records[0] == records[1]
    steps = [int(row["step"]) for row in rows_of(tmp_path / "two")]
    assert steps == sorted({2, 4, 6} | {stop})


def test_lines_of_the_log_behind_the_checkpoint_are_written_anew(tmp_path):
    run(tmp_path, replace(SETTINGS, log_every=1))
    for path in sorted((tmp_path / "checkpoints").iterdir())[1:]:
        path.unlink()
    text = (tmp_path / "log.csv").read_text().splitlines()
    (tmp_path / "log.csv").write_text("\n".join([*text[:-1], text[-1].replace("6,", "6,9", 1)]) + "\n")
    run(tmp_path, replace(SETTINGS, log_every=1), resume=True)
    rows = rows_of(tmp_path)
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert float(rows[-1]["seconds"]) < 9


def test_a_finished_run_that_is_resumed_learns_nothing_more(tmp_path):
    _, before = run(tmp_path)
    weights = before.weights.read_bytes()
    part, after = run(tmp_path, resume=True)
    assert part.seen == []
    assert after.losses == pytest.approx(before.losses, rel=1e-4)
    assert load_file(after.weights).keys() == load_file(before.weights).keys()
    assert len(weights) > 0
    assert len(rows_of(tmp_path)) == 3


def test_minutes_end_a_run(tmp_path, monkeypatch):
    clock = iter(np.arange(0, 1e5, 10.0))
    monkeypatch.setattr("talkface_lite.training.loop.time.monotonic", lambda: float(next(clock)))
    # ten seconds a look: one at the beginning, one each step; more than 45 s have passed after the fifth
    part, result = run(tmp_path, replace(SETTINGS, steps=None, minutes=0.75))
    assert len(part.seen) == result.record["step"] == 5
    assert result.record["seconds"] == 50.0
    # with steps too, whichever comes first
    assert len(run(tmp_path / "b", replace(SETTINGS, steps=3, minutes=0.75))[0].seen) == 3
    assert len(run(tmp_path / "c", replace(SETTINGS, steps=30, minutes=0.75))[0].seen) == 5


def test_another_run_is_neither_overwritten_nor_gone_on_with(tmp_path):
    run(tmp_path)
    for changed, message in [
        ({}, "a folder with a run in it, expected an empty folder, or --resume"),
        (
            {"settings": replace(SETTINGS, steps=8, seed=3), "resume": True},
            "seed of the run to resume: got 0",
        ),
        ({"settings": replace(SETTINGS, batch_size=4), "resume": True}, "batch_size of the run"),
        ({"data": make_data(seed=1), "resume": True}, "data of the run to resume: got other files"),
        ({"data": make_data(window=3), "resume": True}, "window of the run to resume: got 4"),
        ({"data": make_data(mfcc_shift=0.5), "resume": True}, "mfcc_shift of the run"),
        ({"part": fresh(Rivals), "resume": True}, None),
    ]:
        changed = {"settings": SETTINGS, **changed}
        if message is not None:
            with pytest.raises(InputError, match=message):
                run(tmp_path, changed.pop("settings"), **changed)
    # what may change: how long, and how often to write
    longer = replace(SETTINGS, steps=8, checkpoint_every=5, log_every=1, minutes=100.0)
    assert len(run(tmp_path, longer, resume=True)[0].seen) == 2
    # of a cosine the number of steps is a part
    run(tmp_path / "cosine", replace(SETTINGS, schedule="cosine"))
    with pytest.raises(InputError, match="steps of the run to resume: got 6"):
        run(tmp_path / "cosine", replace(SETTINGS, schedule="cosine", steps=8), resume=True)


def test_the_run_of_another_part_or_from_other_weights_is_told_by_its_name(tmp_path):
    class Other(Toy):
        name = "curve"

    run(tmp_path)
    with pytest.raises(InputError, match=r"part of the run to resume, .+: got toy line, expected as asked"):
        run(tmp_path, part=fresh(Other), resume=True)
    part = fresh()
    part.started = "abc"
    with pytest.raises(InputError, match=r"start_from of the run to resume, .+: got none, expected as asked"):
        run(tmp_path, part=part, resume=True)


@pytest.mark.parametrize(("asked", "on_gpu"), [("cuda", True), ("cpu", False)])
def test_the_record_names_the_device_and_its_memory(monkeypatch, asked, on_gpu):
    monkeypatch.setenv("TALKFACE_DEVICE", asked)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a large one")
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 77 << 20)
    record = run_record(fresh(), make_data(), SETTINGS, 5, 1.26)
    assert (record["step"], record["seconds"], record["windows_seen"]) == (5, 1.3, 15)
    if on_gpu:
        assert (record["device"], record["peak_memory_mib"]) == ("a large one", 77)
    else:
        assert "CPU" in record["device"]
        assert record["peak_memory_mib"] > 77
    two = run_record(fresh(), make_data(), replace(SETTINGS, devices=2), 5, 0)
    assert two["windows_seen"] == 5 * 3 * 2


def test_weights_without_a_checkpoint_are_not_overwritten(tmp_path):
    run(tmp_path)
    for path in (tmp_path / "checkpoints").iterdir():
        path.unlink()
    for resume, message in [(True, "weights without a checkpoint"), (False, "a folder with a run in it")]:
        with pytest.raises(InputError, match=message):
            run(tmp_path, resume=resume)
    # nothing there: a run that is to be resumed begins
    assert len(run(tmp_path / "new", resume=True)[0].seen) == 6


def test_an_unreadable_checkpoint_gives_way_and_one_of_another_kind_does_not(tmp_path, capsys):
    run(tmp_path)
    newest = tmp_path / "checkpoints" / "step-00000006.safetensors"
    newest.write_bytes(newest.read_bytes()[:500])
    part, _ = run(tmp_path, resume=True)
    assert len(part.seen) == 2
    assert "step-00000006.safetensors is unreadable; trying" in capsys.readouterr().err
    newest.write_bytes((tmp_path / "weights.safetensors").read_bytes())
    with pytest.raises(InputError, match="a file of another kind"):
        run(tmp_path, resume=True)


def test_a_loss_that_is_not_finite_ends_the_run_with_the_last_good_checkpoint(tmp_path):
    class Bad(Toy):
        def losses(self, batch):
            found = super().losses(batch)
            return {**found, "loss": found["loss"] * (float("nan") if len(self.seen) > 5 else 1)}

    with pytest.raises(InputError, match="loss of step 6: got nan, expected a finite loss"):
        run(tmp_path, replace(SETTINGS, steps=20, checkpoint_every=4, log_every=6), part=fresh(Bad))
    assert checkpoints(tmp_path) == ["step-00000004.safetensors"]
    with pytest.raises(InputError, match="at step 6: got values that are not finite"):
        run(tmp_path / "b", replace(SETTINGS, checkpoint_every=6, log_every=50, steps=60), part=fresh(Bad))
    assert not (tmp_path / "b" / "weights.safetensors").exists()


# --- held-out clips ---
