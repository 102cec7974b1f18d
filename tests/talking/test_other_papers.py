"""Films of a paper unlike ATVGnet: pictures of another side, no landmarks, everything painted, noise."""

import cv2
import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from toy_systems import Lamp

from talkface_lite.errors import InputError
from talkface_lite.landmarks import apply_transform
from talkface_lite.systems.base import Painted, Stretch
from talkface_lite.talking.film import VIEWS, pictures
from talkface_lite.talking.paste import FEATHER, Paster, crop_canvas
from talkface_lite.talking.scene import ZOOM, painted_in, talking_scene
from talkface_lite.talking.talker import Portrait, Talker

torch.set_num_threads(1)


def turned(degrees: float, scale: float, centre: tuple[float, float]) -> np.ndarray:
    """Photograph to crop: a face ``scale`` times the crop's 128 pixels about a point of the photograph."""
    angle = np.deg2rad(degrees)
    linear = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / scale
    return np.hstack([linear, (np.array([63.5, 63.5]) - linear @ centre)[:, None]])


def in_crop(shape: tuple[int, ...], matrix: np.ndarray) -> np.ndarray:
    """``(H, W, 2)``: where the centre of each pixel lies in the crop, pixels of 128."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return apply_transform(np.stack([x, y], -1).astype(float), matrix)


def in_map(places: np.ndarray, side: int) -> np.ndarray:
    """The same places in a map of ``side`` pixels: both have the same edges, and centres at half a pixel."""
    return (places + 0.5) * side / 128 - 0.5


def soft_picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 12)
    return np.clip((soft - 127.5) * 16 + 100, 20, 160).astype(np.uint8)


@pytest.fixture(scope="module")
def portrait():
    image = soft_picture(420, 460)
    landmarks = np.random.default_rng(3).uniform(30, 100, (68, 2)).astype(np.float32)
    matrix = turned(8, 2.2, (230.3, 205.6))
    return Portrait(image=image, landmarks=landmarks, matrix=matrix, name="nobody")


@pytest.fixture(scope="module")
def talker():
    return Talker(Lamp(), device="cpu")


@pytest.fixture(scope="module")
def speech():
    """Every frame louder than the one before, so that none of the film is like another."""
    loud = np.linspace(0.1, 1, 7).repeat(640)
    return (loud * np.random.default_rng(1).uniform(-1, 1, 640 * 7)).astype(np.float32)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("scale", [0.5, 1, 2, 3.3, 7])
def test_a_map_of_256_pixels_lies_where_the_face_is(scale):
    """Two waves, as colour and as α, against the same waves at the place of each pixel of the photograph."""
    image, matrix = np.full((900, 960, 3), 70, np.uint8), turned(20, scale, (481.3, 450.7))

    def waves(u, v):
        return 0.8 * np.sin(2 * np.pi * u / 32 + 0.3), 0.5 + 0.4 * np.sin(2 * np.pi * v / 32)

    v, u = np.mgrid[:256, :256].astype(float)
    colour, alpha = (wave.astype(np.float32) for wave in waves(u, v))
    paster = Paster(image, matrix, side=256)
    result = paster.paste(np.repeat(colour[..., None], 3, axis=2), alpha)
    places = in_crop(image.shape, matrix)
    colour, alpha = waves(*np.moveaxis(in_map(places, 256), -1, 0))
    expected = alpha * (colour + 1) * 127.5 + (1 - alpha) * 70
    inside = ((places >= FEATHER / min(scale, 1) + 1) & (places <= 126 - FEATHER / min(scale, 1))).all(-1)
    off = np.abs(result[..., 0] - expected)[inside]
    assert inside.sum() > 1000
    assert off.max() < (6 if scale < 1 else 3), "half a pixel of the map would be up to 10 levels"
    assert off.mean() < (2.5 if scale < 1 else 1)
    outside = ((places < -0.5) | (places > 127.5)).any(-1)
    np.testing.assert_array_equal(result[outside], image[outside])


def test_a_map_of_256_pixels_on_its_own_canvas_is_the_networks_own_frame(portrait):
    canvas, way = crop_canvas(portrait.image, portrait.matrix, 256)
    generator = rng(5)
    colour = generator.uniform(-1, 1, (256, 256, 3)).astype(np.float32)
    alpha = generator.random((256, 256), np.float32)
    frame = (alpha[..., None] * (colour + 1) + (1 - alpha[..., None]) * canvas / 127.5) * 127.5
    assert np.abs(Paster(canvas, way, side=256).paste(colour, alpha) - frame).max() <= 1


@pytest.mark.parametrize("side", [128, 256])
def test_maps_of_another_side_are_refused(portrait, side):
    paster, other = Paster(portrait.image, portrait.matrix, side=side), 384 - side
    colour, alpha = np.zeros((other, other, 3), np.float32), np.zeros((other, other), np.float32)
    with pytest.raises(
        InputError, match=rf"colour: got float32 \({other}.*expected float \({side}, {side}, 3\)"
    ):
        paster.paste(colour, alpha)
    with pytest.raises(InputError, match=rf"alpha: got float32 \({other}.*expected float \({side}, {side}\)"):
        paster.paste(np.zeros((side, side, 3), np.float32), alpha)


def test_the_film_is_of_the_systems_side(talker, portrait, speech):
    assert talker.side == 256
    stretches = list(talker.film(portrait, speech, rng(4)))
    assert [len(made.frames) for made in stretches] == [3, 3, 1]
    levels = Lamp.levels(speech, rng(4))
    assert len(set(levels)) == 7
    expected = portrait.crop(256) + levels[:, None, None, None]
    np.testing.assert_array_equal(np.concatenate([made.frames for made in stretches]), expected)
    short = list(talker.film(portrait, speech[:-3]))  # filled up with silence; and seed 0
    assert sum(len(made.frames) for made in short) == 7
    np.testing.assert_array_equal(
        np.concatenate([made.frames for made in short]),
        portrait.crop(256) + Lamp.levels(np.append(speech[:-3], [0, 0, 0]), rng(0))[:, None, None, None],
    )


def test_the_seed_is_of_what_a_system_draws(talker, portrait, speech):
    clips = [talker.talk(portrait, speech, seed) for seed in (0, 0, 4)]
    assert clips[0].frames.shape == (7, 256, 256, 3)
    np.testing.assert_array_equal(clips[0].frames, clips[1].frames)
    assert (clips[0].frames != clips[2].frames).all()
    expected = portrait.crop(256) + Lamp.levels(speech, rng(4))[:, None, None, None]
    np.testing.assert_array_equal(clips[2].frames, expected)
    still = np.repeat(portrait.landmarks[None], 7, axis=0)
    np.testing.assert_array_equal(clips[0].landmarks, still, err_msg="it knows of none but the photograph's")
    assert clips[0].source == "talkface_lite lamp"


def test_a_face_alone_is_what_the_system_gives(talker, portrait, speech):
    film = list(pictures(talker, portrait, speech, rng(4), marked=False))
    expected = portrait.crop(256) + Lamp.levels(speech, rng(4))[:, None, None, None]
    np.testing.assert_array_equal(np.stack(film), expected)


def test_the_whole_photograph_talks(talker, portrait, speech):
    """In the crop it is the photograph, so much brighter as the system says; outside it is the photograph."""
    film = list(pictures(talker, portrait, speech, rng(4), view="photograph", marked=False))
    assert len(film) == 7
    places = in_crop(portrait.image.shape, portrait.matrix)
    inside = ((places >= FEATHER) & (places <= 127 - FEATHER)).all(-1)
    outside = ((places < -0.5) | (places > 127.5)).any(-1)
    for picture, level in zip(film, Lamp.levels(speech, rng(4))):
        np.testing.assert_array_equal(picture[outside], portrait.image[outside])
        brighter = picture[inside].astype(int) - portrait.image[inside]
        assert np.abs(brighter - level).max() <= 2


def test_the_scene_shows_the_frame_where_there_are_no_landmarks(talker, portrait, speech):
    """Left the photograph that talks, zoomed out; right the face as the network gives it."""
    film = list(pictures(talker, portrait, speech, rng(4), view="scene", marked=False))
    assert len(film) == 7
    made = list(talker.film(portrait, speech, rng(4)))
    frames = np.concatenate([one.frames for one in made])
    rows, left, right = slice(16, 464), slice(16, 464), slice(480, 928)
    y, x = np.mgrid[:448, :448]
    panel = np.stack([x, y], -1) + 0.5  # pixels of the panel, from its edge
    places = panel * 128 / 448 - 0.5  # pixels of the crop, from its first centre
    middle = np.array([64, 0.52 * 128])
    places = (places - (1 - ZOOM) * middle) / ZOOM  # the crop is shrunk to ZOOM about the middle
    inside = ((places >= FEATHER) & (places <= 127 - FEATHER)).all(-1)
    outside = ((places < -0.5) | (places > 127.5)).any(-1)
    u, v = np.moveaxis(in_map(places, 256), -1, 0)
    for scene, frame in zip(film, frames, strict=True):
        assert scene.shape == (568, 944, 3)
        expected = cv2.resize(frame, (448, 448), interpolation=cv2.INTER_CUBIC)
        np.testing.assert_array_equal(scene[rows, right], expected)
        for channel in range(3):
            painted = map_coordinates(frame[..., channel].astype(float), [v, u], order=1, mode="nearest")
            off = np.abs(scene[rows, left, channel] - painted)[inside]
            assert off.max() < 4
            assert off.mean() < 1
    assert outside.sum() > 10_000
    np.testing.assert_array_equal(film[0][rows, left][outside], film[-1][rows, left][outside])


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_marked(talker, portrait, speech, view):
    marked, bare = (
        np.stack(list(pictures(talker, portrait, speech, rng(4), view=view, marked=marked)))
        for marked in (True, False)
    )
    differs = (marked != bare).any(-1)
    assert differs.any(axis=(1, 2)).all()
    assert differs.mean() < 0.05
    sides = {"face": (256, 256), "photograph": (420, 460), "scene": (568, 944)}
    assert marked.shape[1:3] == sides[view]


def test_what_is_painted_where_a_system_tells_or_does_not():
    frames = rng().integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    colour, alpha, flows = zip(*painted_in(Stretch(frames)))
    np.testing.assert_allclose((np.stack(colour) + 1) * 127.5, frames, atol=1e-4)
    assert np.abs(colour).max() <= 1
    np.testing.assert_array_equal(alpha, np.ones((2, 4, 4), np.float32))
    assert flows == (None, None)
    told = Painted(np.zeros((2, 4, 4, 3), np.float32), np.full((2, 4, 4), 0.5, np.float32))
    for flow in (None, rng().normal(size=(2, 4, 4, 2))):
        first, second = painted_in(Stretch(frames, None, told._replace(flow=flow)))
        for n, one in enumerate((first, second)):
            np.testing.assert_array_equal(one.colour, told.colour[n])
            np.testing.assert_array_equal(one.alpha, told.alpha[n])
            assert one.flow is None if flow is None else (one.flow == flow[n]).all()
    with pytest.raises(InputError, match="weights that paint"):
        painted_in(Stretch(None, np.zeros((2, 68, 2), np.float32)))


def test_painting_reaches_the_scene_only_where_it_is_painted(portrait, speech):
    """A system that tells α: nothing painted leaves the photograph as it is, whatever its frames show."""
    frames = np.zeros((7, 256, 256, 3), np.uint8)
    nothing = Painted(np.ones((7, 256, 256, 3), np.float32), np.zeros((7, 256, 256), np.float32))
    dark, bare = (
        next(
            talking_scene(
                portrait.image, portrait.matrix, speech, [Stretch(frames, None, how)], side=256, marked=False
            )
        )[16:464, 16:464]
        for how in (None, nothing)
    )
    assert bare.min() > 0
    assert (dark == 0).all(-1).mean() > 0.3


class Careless(Lamp):
    """A film that is not what it should be, in one way."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def film(self, face, speech, rng):
        return map(self.change, super().film(face, speech, rng))


POINTS = np.zeros((3, 68, 2), np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda made: Stretch(made.frames[:2]), "film of lamp: got 5 frames, expected 7, one for each 40 ms"),
        (lambda made: Stretch(made.frames.repeat(2, 0)), "film of lamp: got at least 12 frames, expected 7"),
        (
            lambda made: Stretch(made.frames / 255),
            r"frames in the .*: got float64 .*uint8 \(n, 256, 256, 3\)",
        ),
        (lambda made: Stretch(made.frames[:, ::2, ::2]), r"frames .*: got uint8 \(3, 128, 128, 3\)"),
        (lambda made: Stretch(torch.from_numpy(made.frames)), "frames .*: got torch.uint8 .* a numpy array"),
        (lambda made: Stretch(made.frames, POINTS[:, :48]), r"landmarks .*: got float32 \(3, 48, 2\)"),
        (lambda made: Stretch(made.frames, POINTS.astype(int)), "landmarks .*: got int64 .* floating"),
        (lambda made: Stretch(made.frames, POINTS[:2]), "frames and landmarks .*: got 2 and 3, .* of both"),
        (lambda made: Stretch(None), "frames and landmarks .*: got neither"),
    ],
)
def test_a_film_that_is_not_what_a_system_promises_is_refused(portrait, speech, change, message):
    with pytest.raises(InputError, match=message):
        list(Talker(Careless(change), device="cpu").film(portrait, speech))
