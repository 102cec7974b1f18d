"""Held-out clips, weights to begin with, and what a run shows of itself."""

from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric
from test_training_loop import SETTINGS, Toy, fresh, make_data, rows_of, run
from torch.multiprocessing import ProcessRaisedException

from talkface_lite.data.needs import Batch
from talkface_lite.errors import InputError
from talkface_lite.systems.part import read_weights
from talkface_lite.training.loop import held_out_figures


def test_held_out_figures_are_looked_at_in_evaluation_mode_and_logged(tmp_path):
    held_out = make_data(3, seed=8)
    settings = replace(SETTINGS, steps=5, log_every=3)
    part, result = run(tmp_path, settings, validation=held_out)
    # at every checkpoint and at the end, beside the log's own steps
    rows = list({row["step"]: row for row in rows_of(tmp_path)}.values())
    assert [row["step"] for row in rows] == ["2", "3", "4", "5"]
    assert [bool(row["held_out_loss"]) for row in rows] == [True, False, True, True]
    assert float(rows[0]["held_out_twice"]) == pytest.approx(2 * float(rows[0]["held_out_loss"]), rel=1e-3)
    looks = 3 * sum(1 for _ in held_out.passes(3))
    assert part.modes.count(False) == looks
    assert part.modes.count(True) == 5
    assert part.training
    assert result.record["validation"]["digest"] == held_out.digest
    assert result.record["validation"]["clips"] == 3
    assert result.record["validation"]["held_out_loss"] == float(rows[-1]["held_out_loss"])
    assert "loss" not in result.record["validation"]
    # the same steps as without anybody looking
    alone, _ = run(tmp_path / "alone", settings)
    for name, value in alone.state_dict().items():
        assert torch.equal(value, part.state_dict()[name]), name


def test_the_best_weights_are_those_with_the_lowest_figure(tmp_path):
    figures = iter([3.0, 1.0, 2.0, 0.5, 0.7])
    kept = {}

    class Told(Toy):
        figure = "told"

        def held_out(self, batch):
            kept[len(self.seen)] = self.net[3].weight.detach().clone()
            return {"told": torch.tensor(next(figures)), "loss": torch.tensor(-1.0 * len(self.seen))}

    held_out = make_data(1, seed=8, window=20)
    run(tmp_path, part=fresh(Told), validation=held_out)
    about, tensors = read_weights(tmp_path / "best.safetensors")
    assert about["record"]["step"] == 4
    assert about["record"]["held_out"] == {"told": 1.0, "loss": -4.0}
    torch.testing.assert_close(tensors["net.3.weight"].float(), kept[4], atol=1e-3, rtol=1e-3)
    # a resumed run remembers how good the best was
    run(tmp_path, replace(SETTINGS, steps=10), part=fresh(Told), validation=held_out, resume=True)
    assert read_weights(tmp_path / "best.safetensors")[0]["record"]["step"] == 8
    assert read_weights(tmp_path / "weights.safetensors")[0]["record"]["step"] == 10
    assert not (tmp_path / "nobody").exists()


def test_the_best_of_other_held_out_clips_is_not_remembered(tmp_path):
    """A figure of some clips says nothing about others, so ``best.safetensors`` begins anew with them."""
    figures = iter([0.1, 0.2, 0.3, 5.0, 4.0, 3.0])

    class Told(Toy):
        figure = "told"

        def held_out(self, batch):
            return {"told": torch.tensor(next(figures)), "loss": torch.tensor(0.0)}

    def go(steps, seed, **options):
        held_out = None if seed is None else make_data(1, seed=seed, window=20)
        settings = replace(SETTINGS, steps=steps)
        run(tmp_path, settings, part=fresh(Told), validation=held_out, resume=steps > 4, **options)
        return read_weights(tmp_path / "best.safetensors")[0]["record"]

    assert go(4, 8)["held_out"]["told"] == pytest.approx(0.1)
    assert go(6, 8)["step"] == 2, "0.3 is no better"
    assert go(8, None)["step"] == 2, "nobody looks"
    record = go(10, 9)
    assert (record["step"], record["held_out"]["told"]) == (10, 5.0)
    assert go(14, 9)["held_out"]["told"] == 3.0


def test_a_figure_that_held_out_does_not_give_is_named(tmp_path):
    class Misspelt(Toy):
        figure = "looss"

    with pytest.raises(InputError, match="figure of line: got 'looss', expected loss or twice"):
        run(tmp_path, part=fresh(Misspelt), validation=make_data(1, seed=8))


def test_figures_are_weighed_by_frames():
    data = make_data(3)
    part = fresh().eval()
    found = held_out_figures(part, data, 2, "cpu")
    everything = Batch.together(list(data.passes(1)))
    with torch.no_grad():
        assert found["loss"] == pytest.approx(part.losses(everything)["loss"].item(), rel=1e-5)
    assert found["twice"] == pytest.approx(2 * found["loss"])
    assert not any(parameter.grad is not None for parameter in part.parameters())


# --- weights to begin with ---


def test_a_part_that_starts_from_weights_keeps_their_statistics(tmp_path):
    run(tmp_path / "first")
    weights = tmp_path / "first" / "weights.safetensors"

    class Started(Toy):
        def start_from(self, path):
            super().start_from(path)
            self.mfcc_mean.fill_(7.0)

    part = fresh(Started, seed=3)
    part.start_from(weights)
    _, result = run(tmp_path / "second", part=part, data=make_data(seed=4))
    assert result.record["start_from"] == part.started
    assert len(part.started) == 16
    assert (part.mfcc_mean == 7).all()
    with pytest.raises(InputError, match="start_from of the run to resume"):
        run(tmp_path / "second", replace(SETTINGS, steps=8), data=make_data(seed=4), resume=True)


def test_the_bar_counts_on_from_where_the_run_was(tmp_path, capsys):
    run(tmp_path, replace(SETTINGS, steps=3))
    assert capsys.readouterr().err == ""
    run(tmp_path, resume=True, progress=True)
    shown = capsys.readouterr().err
    assert "6/6" in shown
    assert "loss=" in shown


# --- several devices ---


@pytest.mark.parametrize(
    "name", ["talkface_lite.errors.InputError", "talkface_lite.data.loading.StreamError"]
)
def test_bad_input_in_a_process_of_several_is_one_line(tmp_path, monkeypatch, name):
    line = "batch_size of the run to resume: got 2, expected 3 as asked now"
    raised = f"\n\n-- Process 0 terminated with the following error:\nTraceback:\n  File\n{name}: {line}\n"

    def launch(*_):
        raise ProcessRaisedException(raised, 0, 1)

    monkeypatch.setattr(Fabric, "launch", launch)
    with pytest.raises(InputError) as caught:
        run(tmp_path / "run", replace(SETTINGS, devices=2))
    assert str(caught.value) == line
    assert not (tmp_path / "run").exists()
    raised = "\nTraceback:\nValueError: talkface_lite.errors.InputError: no\n"
    with pytest.raises(ProcessRaisedException):
        run(tmp_path / "run", replace(SETTINGS, devices=2))
