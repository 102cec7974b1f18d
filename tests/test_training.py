import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_networks import SMALL_VG_NET

from talkface_lite.clip import Clip
from talkface_lite.data.dataset import Dataset, Features
from talkface_lite.data.pictures import PictureDataset
from talkface_lite.errors import InputError
from talkface_lite.networks.at_net import ATNetConfig
from talkface_lite.networks.regression_discriminator import RegressionDiscriminatorConfig
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems.atvg.at_net import ATNetPart, ATNetPartConfig
from talkface_lite.systems.atvg.vg_net import VGNetPart, VGNetPartConfig
from talkface_lite.systems.part import plain_module
from talkface_lite.training import TrainingSettings, train

ROOT = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)

TINY = ATNetConfig(channels=(2, 2, 2, 2, 2), audio=(8, 8), landmark=(4, 4), hidden=8, layers=2)
TINY_VIDEO = VGNetPartConfig(
    vg_net=SMALL_VG_NET,
    discriminator=RegressionDiscriminatorConfig(
        image=(2, 2, 4, 4), features=8, landmark=(4, 8), hidden=8, layers=2, unused_decoder=True
    ),
)


def make_dataset(n_clips=4):
    rng = np.random.default_rng(0)
    clips = []
    for i in range(n_clips):
        n = 10 + i
        rows = rng.standard_normal((4 * (n - 1) + 28, 12)).astype(np.float32)
        landmarks = rng.uniform(20, 100, (n, 68, 2)).astype(np.float32)
        clips.append(Features(rows=rows, landmarks=landmarks))
    return Dataset(clips, window=4)


def make_system(seed=0, recurrent=True, **options):
    torch.manual_seed(seed)
    basis = ShapePCA.fit(np.random.default_rng(1).uniform(20, 100, (40, 68, 2)))
    return ATNetPart(ATNetPartConfig(at_net=replace(TINY, recurrent=recurrent), **options), basis)


SETTINGS = TrainingSettings(steps=6, batch_size=3, checkpoint_every=2, log_every=2)


def run(out, settings=SETTINGS, resume=False, system=None):
    return train(system or make_system(), make_dataset(), out, settings, resume=resume, progress=False)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return out, run(out)


def final_checkpoint(out):
    return load_file(sorted((out / "checkpoints").glob("*.safetensors"))[-1])


def test_a_run_leaves_weights_record_log_and_two_checkpoints(uninterrupted):
    out, result = uninterrupted
    assert sorted(p.name for p in out.iterdir()) == [
        "checkpoints",
        "log.csv",
        "record.json",
        "weights.safetensors",
    ]
    assert [p.name for p in sorted((out / "checkpoints").iterdir())] == [
        "step-00000004.safetensors",
        "step-00000006.safetensors",
    ]
    rows = list(csv.DictReader((out / "log.csv").open()))
    assert [row["step"] for row in rows] == ["2", "4", "6"]
    assert float(rows[-1]["loss"]) == pytest.approx(result.losses["loss"], rel=1e-4)
    record = json.loads((out / "record.json").read_text())
    assert record["step"] == 6
    assert record["settings"]["seed"] == 0
    assert record["clips"] == 4
    assert record["windows_seen"] == 18
    assert record["parameters"]["at_net"] > 0
    weights, whole = load_file(result.weights), final_checkpoint(out)
    assert weights["at_net.phi_lmark.weight"].dtype == torch.float16
    assert weights["at_net.mfcc_mean"].dtype == torch.float32
    for name, value in weights.items():
        torch.testing.assert_close(value.float(), whole[f"system.{name}"].float(), atol=1e-3, rtol=1e-3)


def test_resuming_gives_the_very_weights_of_an_uninterrupted_run(uninterrupted, tmp_path):
    run(tmp_path, replace(SETTINGS, steps=3))
    # another seed for the fresh weights: everything must come from the checkpoint
    run(tmp_path, SETTINGS, resume=True, system=make_system(seed=99))
    straight, resumed = final_checkpoint(uninterrupted[0]), final_checkpoint(tmp_path)
    assert straight.keys() == resumed.keys()
    assert any(name.startswith("optimizer.adam.0.exp_avg") for name in straight)
    for name in straight:
        assert torch.equal(straight[name], resumed[name]), name


def test_the_seed_decides(uninterrupted, tmp_path):
    run(tmp_path / "same")
    run(tmp_path / "other", replace(SETTINGS, seed=1))
    name = "system.at_net.phi_lmark.weight"
    straight = final_checkpoint(uninterrupted[0])[name]
    assert torch.equal(straight, final_checkpoint(tmp_path / "same")[name])
    assert not torch.equal(straight, final_checkpoint(tmp_path / "other")[name])


def test_a_broken_checkpoint_gives_way_to_the_one_before(uninterrupted, tmp_path, capsys):
    run(tmp_path, replace(SETTINGS, steps=4))
    newest = tmp_path / "checkpoints" / "step-00000004.safetensors"
    newest.write_bytes(newest.read_bytes()[:1000])
    run(tmp_path, resume=True)
    assert "step-00000004.safetensors is unreadable" in capsys.readouterr().err
    name = "system.at_net.phi_lmark.weight"
    assert torch.equal(final_checkpoint(tmp_path)[name], final_checkpoint(uninterrupted[0])[name])


def test_killed_without_warning_and_resumed(uninterrupted, tmp_path):
    """kill -9 while the process writes checkpoints as fast as it can; what is left is whole."""
    settings = replace(SETTINGS, steps=100_000, checkpoint_every=1)
    code = (
        "import sys; sys.modules['torchmetrics'] = None; sys.path.insert(0, 'tests');"
        "import test_training as t;"
        f"t.run({str(tmp_path)!r}, t.{settings!r})"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment)
    folder = tmp_path / "checkpoints"
    while process.poll() is None and not list(folder.glob("step-*9.safetensors")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    reached = max(int(p.stem.split("-")[1]) for p in folder.glob("step-*.safetensors"))
    assert not (tmp_path / "weights.safetensors").exists()
    run(tmp_path, replace(settings, steps=reached + 3), resume=True)
    run(tmp_path / "straight", replace(SETTINGS, steps=reached + 3, checkpoint_every=100))
    straight, resumed = final_checkpoint(tmp_path / "straight"), final_checkpoint(tmp_path)
    for name in straight:
        torch.testing.assert_close(straight[name], resumed[name], atol=1e-6, rtol=1e-5, msg=name)


def test_another_run_is_not_overwritten_or_mixed(uninterrupted, tmp_path):
    out, _ = uninterrupted
    with pytest.raises(InputError, match="--resume"):
        run(out)
    with pytest.raises(InputError, match="learning_rate"):
        run(out, replace(SETTINGS, steps=8, learning_rate=1.0), resume=True)
    with pytest.raises(InputError, match=r"config of the run to resume.*another network"):
        run(out, resume=True, system=make_system(loss="whitened"))


def test_failing_midway_leaves_the_last_good_checkpoint(tmp_path):
    with pytest.raises(InputError, match="finite"):
        run(tmp_path, replace(SETTINGS, steps=2000, learning_rate=1e30, checkpoint_every=1, log_every=1))
    for path in (tmp_path / "checkpoints").glob("*.safetensors"):
        assert all(torch.isfinite(v).all() for v in load_file(path).values() if v.is_floating_point())
    assert not (tmp_path / "weights.safetensors").exists()


def test_minutes_stop_a_run_and_count_what_was_spent_before(tmp_path):
    result = run(tmp_path, replace(SETTINGS, steps=None, minutes=0.01))
    assert result.record["step"] > 1
    again = run(tmp_path, replace(SETTINGS, steps=None, minutes=0.01), resume=True)
    assert again.record["step"] == result.record["step"]


def test_two_processes_equal_one_with_twice_the_batch(tmp_path):
    """Each process takes its share of every pass and gradients are averaged (no batch normalisation here)."""
    script = tmp_path / "two.py"
    script.write_text(
        "import sys; sys.modules['torchmetrics'] = None  # slow to import, not used\n"
        "if __name__ == '__main__':\n"
        "    import test_training as t\n"
        "    settings = t.replace(t.SETTINGS, steps=3, devices=2)\n"
        f"    t.run({str(tmp_path / 'two')!r}, settings, system=t.make_system(recurrent=False))\n"
    )
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, script], env=environment, check=True, capture_output=True)
    run(tmp_path / "one", replace(SETTINGS, steps=3, batch_size=6), system=make_system(recurrent=False))
    one, two = final_checkpoint(tmp_path / "one"), final_checkpoint(tmp_path / "two")
    for name in one:
        if name.startswith("system."):
            torch.testing.assert_close(one[name], two[name], atol=1e-5, rtol=1e-4, msg=name)
    assert json.loads((tmp_path / "two" / "record.json").read_text())["windows_seen"] == 3 * 3 * 2


VIDEO_SETTINGS = TrainingSettings(steps=6, batch_size=2, checkpoint_every=3, log_every=3)


def make_video(seed=0, kind=VGNetPart):
    torch.manual_seed(seed)
    return kind(TINY_VIDEO)


def make_pictures(folder):
    """Three clips of random pictures; one is shorter than a window."""
    for i, n in enumerate((3, 6, 5)):
        rng = np.random.default_rng(i)
        Clip(
            frames=rng.integers(0, 256, (n, 128, 128, 3), np.uint8),
            landmarks=rng.uniform(20, 100, (n, 68, 2)).astype(np.float32),
            speech=rng.uniform(-0.5, 0.5, 640 * n).astype(np.float32),
        ).save(Path(folder) / f"{i}.safetensors")
    return PictureDataset.from_folder(folder, window=4, camera=1.0, mirrored=True)


def run_video(out, dataset, settings=VIDEO_SETTINGS, resume=False, system=None):
    return train(system or make_video(), dataset, out, settings, resume=resume, progress=False)


def test_a_system_of_two_networks_resumes_bit_for_bit(tmp_path):
    """Both networks, both optimizers, and the dropout of the steps to come."""
    dataset = make_pictures(tmp_path / "clips")
    run_video(tmp_path / "straight", dataset)
    run_video(tmp_path / "resumed", dataset, replace(VIDEO_SETTINGS, steps=3))
    half = final_checkpoint(tmp_path / "resumed")
    run_video(tmp_path / "resumed", dataset, resume=True, system=make_video(seed=99))
    straight, resumed = final_checkpoint(tmp_path / "straight"), final_checkpoint(tmp_path / "resumed")
    assert straight.keys() == resumed.keys()
    for part in ("system.vg_net.", "system.discriminator.", "optimizer.vg_net.", "optimizer.discriminator."):
        assert any(name.startswith(part) for name in straight)
    for name in straight:
        assert torch.equal(straight[name], resumed[name]), name
    assert not torch.equal(half["system.vg_net.colour.0.weight"], straight["system.vg_net.colour.0.weight"])
    unused = [name for name in straight if name.startswith("system.discriminator.decoder.")]
    assert len(unused) == 4
    for name in unused:
        assert torch.equal(half[name], straight[name])


class Watched(VGNetPart):
    """Writes down what each process sees, and what it has learned by then."""

    def training_step(self, batch, *arguments):
        losses = super().training_step(batch, *arguments)
        seen = {"seen": batch.landmarks, "loss": losses["loss"]}
        for network in self.networks().values():
            seen |= {f"{type(plain_module(network)).__name__}.{k}": v for k, v in parameters_of(network)}
        folder = Path(os.environ["TALKFACE_TEST_WATCH"])
        rank = torch.distributed.get_rank()
        save_file({k: v.detach().contiguous().clone() for k, v in seen.items()}, folder / f"rank-{rank}")
        return losses


def parameters_of(network):
    return plain_module(network).named_parameters()


def test_two_processes_keep_both_networks_alike(tmp_path):
    """Each process sees other films, and gradients are averaged: so both end in the same parameters."""
    make_pictures(tmp_path / "clips")
    script = tmp_path / "two.py"
    script.write_text(
        "import sys; sys.modules['torchmetrics'] = None  # slow to import, not used\n"
        "if __name__ == '__main__':\n"
        "    import test_training as t\n"
        f"    dataset = t.PictureDataset.from_folder({str(tmp_path / 'clips')!r}, window=4)\n"
        "    settings = t.replace(t.VIDEO_SETTINGS, steps=2, devices=2)\n"
        "    system = t.make_video(kind=t.Watched)\n"
        f"    t.run_video({str(tmp_path / 'two')!r}, dataset, settings, system=system)\n"
    )
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
        "TALKFACE_TEST_WATCH": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second = load_file(tmp_path / "rank-0"), load_file(tmp_path / "rank-1")
    assert not torch.equal(first.pop("seen"), second.pop("seen"))
    assert not torch.equal(first.pop("loss"), second.pop("loss"))
    fresh = make_video()
    for network in fresh.networks().values():
        for name, parameter in parameters_of(network):
            name = f"{type(network).__name__}.{name}"
            assert torch.equal(first[name], second[name]), name
            assert torch.equal(first[name], parameter) == name.startswith("RegressionDiscriminator.decoder")
    final = final_checkpoint(tmp_path / "two")
    assert torch.equal(final["system.vg_net.colour.0.weight"], first["VGNet.colour.0.weight"])


def test_learning_rate_schedules():
    assert SETTINGS.scale_at(5) == 1
    cosine = replace(SETTINGS, steps=100, schedule="cosine")
    assert cosine.scale_at(0) == pytest.approx(1)
    assert cosine.scale_at(50) == pytest.approx(0.5)
    assert cosine.scale_at(100) == pytest.approx(0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": None},
        {"steps": 0},
        {"learning_rate": -1.0},
        {"schedule": "sine"},
        {"precision": "8"},
        {"schedule": "cosine", "steps": None, "minutes": 1.0},
    ],
)
def test_wrong_settings(wrong):
    with pytest.raises(InputError):
        replace(SETTINGS, **wrong)


def test_training_imports_neither_sound_nor_face_libraries():
    code = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT or name.startswith("talkface_lite.corpus"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

ABSENT = {"librosa", "espeakng_loader", "face_alignment", "dlib", "soundfile", "soxr", "skimage", "imageio"}
# Lightning imports torchmetrics where it is installed, which looks for librosa; a GPU machine has neither
ABSENT.add("torchmetrics")
sys.meta_path.insert(0, Absent())
import talkface_lite.training
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
