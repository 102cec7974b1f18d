"""What the command line is handed in tests: weights, sounds good and bad, pictures, clips."""

import numpy as np
import soundfile
import torch
from small_networks import SMALL_VG_NET

from talkface_lite.clip import Clip
from talkface_lite.media import write_image, write_speech
from talkface_lite.networks.at_net import ATNetConfig
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems.atvg.at_net import ATNetPart, ATNetPartConfig
from talkface_lite.systems.atvg.vg_net import VGNetPart, VGNetPartConfig


def sound(seconds=0.4, rate=16_000, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((int(seconds * rate), channels))).squeeze().astype(np.float32)


def write_inputs(folder):
    """Weights, sounds good and bad, a picture without a face, and three clips."""
    torch.manual_seed(0)
    small = ATNetConfig(channels=(2, 2, 2, 2, 2), audio=(8, 8), landmark=(4, 4), hidden=8, layers=1)
    basis = ShapePCA.fit(np.random.default_rng(0).uniform(40, 90, (40, 68, 2)))
    ATNetPart(ATNetPartConfig(at_net=small), basis).save(folder / "small.safetensors")
    VGNetPart(VGNetPartConfig(vg_net=SMALL_VG_NET)).save(folder / "video.safetensors")
    write_speech(folder / "good.wav", sound())
    (folder / "empty.wav").write_bytes(b"")
    soundfile.write(folder / "no-samples.wav", np.zeros(0, np.float32), 16_000)
    soundfile.write(folder / "silent.wav", np.zeros(8_000, np.float32), 16_000)
    soundfile.write(folder / "8-bit.wav", sound(), 16_000, subtype="PCM_U8")
    soundfile.write(folder / "stereo.wav", sound(channels=2), 16_000)
    soundfile.write(folder / "44100.wav", sound(rate=44_100), 44_100)
    holed = sound()
    holed[100] = np.nan
    soundfile.write(folder / "nan.wav", holed, 16_000, subtype="FLOAT")
    (folder / "cut.wav").write_bytes((folder / "good.wav").read_bytes()[:6_000])
    write_image(folder / "no-face.png", np.full((200, 200, 3), 127, np.uint8))
    (folder / "not-a-picture.png").write_bytes(b"hello")
    rng = np.random.default_rng(2)
    for i in range(3):
        Clip(
            frames=None,
            landmarks=rng.uniform(20, 100, (12, 68, 2)).astype(np.float32),
            speech=(0.1 * rng.standard_normal(12 * 640)).astype(np.float32),
        ).save(folder / "clips" / f"{i}.safetensors")
    return folder


def refused(capsys, code, *fragments):
    """One line on standard error, nothing on standard output, exit code 2."""
    streams = capsys.readouterr()
    assert code == 2
    assert streams.out == ""
    lines = streams.err.splitlines()
    assert len(lines) == 1, streams.err
    assert lines[0].startswith("talkface: ")
    for fragment in fragments:
        assert fragment in lines[0]
