"""Each setting of the camera does what it says, to all pictures of a film alike."""

import io
from dataclasses import astuple, replace

import cv2
import numpy as np
import pytest
from PIL import Image

from talkface_lite.corpus.camera import Camera
from talkface_lite.errors import InputError


@pytest.fixture(scope="module")
def film():
    """Three pictures ``(3, 64, 80, 3)`` with soft shapes and some grain, neither black nor white."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(40, 215, (3, 8, 10, 3)).astype(np.float32)
    soft = np.stack([cv2.resize(one, (80, 64), interpolation=cv2.INTER_CUBIC) for one in coarse])
    return (soft + rng.normal(0, 4, soft.shape)).clip(0, 255).astype(np.uint8)


def grey(level=128, n=2, height=64, width=80):
    return np.full((n, height, width, 3), level, np.uint8)


def high_frequencies(frames):
    """Energy of the second differences."""
    return np.mean([np.square(cv2.Laplacian(one.astype(np.float32), cv2.CV_32F)).mean() for one in frames])


def to_bytes(values):
    return np.rint(np.clip(values, 0, 1) * 255)


def assert_close(got, expected, by=1):
    assert np.abs(got.astype(int) - expected.astype(int)).max() <= by


def test_a_camera_that_does_nothing_changes_no_byte(film):
    before = film.copy()
    made = Camera().film(film)
    np.testing.assert_array_equal(made, before)
    assert made is not film
    every_level = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    np.testing.assert_array_equal(Camera().film(every_level), every_level)


@pytest.mark.parametrize("seed", range(20))
def test_strength_0_draws_a_camera_that_does_nothing(film, seed):
    camera = Camera.draw(np.random.default_rng(seed), strength=0)
    np.testing.assert_array_equal(camera.film(film), film)
    assert (camera.quality, camera.saturation, camera.texture, camera.blur) == (100, 1, 0, 0)


def test_the_generator_decides(film):
    one, same, other = (Camera.draw(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one == same != other
    np.testing.assert_array_equal(one.film(film), same.film(film))
    assert not np.array_equal(one.film(film), other.film(film))
    assert not np.array_equal(one.film(film), film)


@pytest.mark.parametrize("gamma", [0.6, 1.7])
@pytest.mark.parametrize("contrast", [0.7, 1.4])
@pytest.mark.parametrize("brightness", [-0.15, 0.2])
def test_gamma_contrast_brightness_and_balance_written_out(film, gamma, contrast, brightness):
    balance = (1.2, 1.0, 0.7)
    camera = Camera(gamma=gamma, contrast=contrast, brightness=brightness, balance=balance)
    level = contrast * ((film / 255) ** gamma - 0.5) + 0.5 + brightness
    assert_close(camera.film(film), to_bytes(level * balance))


def test_brightness_alone_is_added(film):
    assert_close(Camera(brightness=20 / 255).film(film), np.minimum(film.astype(int) + 20, 255), by=0)


def test_contrast_leaves_the_middle_grey():
    # 127 and 128 lie half a level about the middle, 0.5
    for contrast in (0.2, 3):
        for level, offset in ((127, -0.5), (128, 0.5)):
            (made,) = np.unique(Camera(contrast=contrast).film(grey(level)))
            assert abs(made - (127.5 + contrast * offset)) <= 0.51


def test_saturation(film):
    luma = film @ (0.299, 0.587, 0.114)
    black_and_white = Camera(saturation=0).film(film)
    assert_close(black_and_white, luma[..., None].repeat(3, -1))
    assert (black_and_white == black_and_white[..., :1]).all()
    for saturation in (0.5, 1.6):
        expected = luma[..., None] + saturation * (film - luma[..., None])
        assert_close(Camera(saturation=saturation).film(film), np.rint(expected.clip(0, 255)))


@pytest.mark.parametrize(("direction", "side"), [(0, "right"), (1, "bottom"), (2, "left"), (3, "top")])
def test_light_from_one_side(direction, side):
    made = Camera(light=(0.3, direction * np.pi / 2)).film(grey(100, height=65, width=81))
    across = {"right": made[:, 20, :], "left": made[:, 20, ::-1], "bottom": made[:, :, 20]}
    line = across.get(side, made[:, ::-1, 20])[..., 0].astype(int)
    n = line.shape[1]
    np.testing.assert_allclose(line[0], 100 + 30 * np.linspace(-1, 1, n), atol=0.51)
    assert (line[:, n // 2] == 100).all()
    along = made[0, :, 5] if side in ("left", "right") else made[0, 5, :]
    assert len(np.unique(along)) == 1


def test_texture_stays_where_it_is():
    camera = Camera(texture=0.05, seed=7)
    made = camera.film(grey(n=4))
    assert (made == made[:1]).all()
    assert (made == made[..., :1]).all()
    assert made.std() / 128 == pytest.approx(0.05 * 0.84, rel=0.1)
    assert made.mean() == pytest.approx(128, abs=0.5)
    np.testing.assert_array_equal(camera.film(grey(n=1))[0], made[0])
    assert not np.array_equal(replace(camera, seed=8).film(grey()), made[:2])
    # pores darken a bright face more than a dark one
    assert camera.film(grey(200)).std() == pytest.approx(2 * camera.film(grey(100)).std(), rel=0.05)


def test_blur_takes_detail_and_sharpening_gives_it(film):
    plain = high_frequencies(film)
    energies = [high_frequencies(Camera(blur=blur).film(film)) for blur in (2.0, 1.0, 0.5, 0, -0.4, -0.8)]
    assert energies == sorted(energies)
    assert energies[0] < 0.1 * plain
    assert energies[3] == plain
    assert energies[5] > 2 * plain
    for blur in (1.0, -0.5):  # what is flat stays flat
        np.testing.assert_array_equal(Camera(blur=blur).film(grey(77)), grey(77))


def test_blur_is_a_gaussian_of_so_many_pixels():
    point = np.zeros((1, 31, 31, 3), np.uint8)
    point[0, 15, 15] = 255
    made = Camera(blur=1.2).film(point)[0, ..., 0].astype(float)
    x = np.arange(-15, 16)
    spread = np.sqrt((made.sum(0) * x**2).sum() / made.sum())
    assert spread == pytest.approx(1.2, rel=0.05)


@pytest.mark.parametrize("quality", [30, 60, 95])
def test_quality_is_that_of_a_jpeg(film, quality):
    made = Camera(quality=quality).film(film)
    for ours, picture in zip(made, film):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling="4:2:0")
        assert_close(ours, np.asarray(Image.open(file)), by=3)


def test_less_quality_is_further_from_the_picture(film):
    errors = [np.abs(Camera(quality=q).film(film) - film.astype(int)).mean() for q in (100, 95, 60, 30, 5)]
    assert errors == sorted(errors)
    assert errors[0] == 0
    assert errors[1] > 0


def test_draws_lie_in_their_ranges():
    rng = np.random.default_rng(0)
    cameras = [Camera.draw(rng) for _ in range(600)]
    blur = np.array([camera.blur for camera in cameras])
    quality = np.array([camera.quality for camera in cameras])
    saturation = np.array([camera.saturation for camera in cameras])
    light = np.array([camera.light for camera in cameras])
    assert blur.min() >= -0.8
    assert blur.max() <= 1.3
    assert np.mean(blur > 0) == pytest.approx(0.45, abs=0.08)
    assert np.mean(blur < 0) == pytest.approx(0.2, abs=0.06)
    compressed = quality[quality < 100]
    assert len(compressed) / 600 == pytest.approx(0.4, abs=0.08)
    assert compressed.min() == 30
    assert compressed.max() == 95
    assert np.mean(saturation == 0) == pytest.approx(0.1, abs=0.05)
    assert light[:, 0].min() >= 0
    assert 0 <= light[:, 1].min() < 0.2
    assert 6 < light[:, 1].max() <= 2 * np.pi
    assert min(camera.texture for camera in cameras) >= 0
    for name, spread in (("gamma", 0.22), ("contrast", 0.15)):
        logs = np.log([getattr(camera, name) for camera in cameras])
        assert logs.std() == pytest.approx(spread, rel=0.15)
        assert abs(logs.mean()) < 0.05
    assert len({camera.seed for camera in cameras}) > 590
    assert all(type(value) in (float, int, tuple) for value in astuple(cameras[0]))  # none of numpy's


def test_more_strength_changes_more(film):
    def change(strength):
        rng = np.random.default_rng(3)
        made = [Camera.draw(rng, strength).film(film[:1]) for _ in range(60)]
        return np.mean([np.abs(one - film[:1].astype(int)).mean() for one in made])

    changes = [change(strength) for strength in (0, 0.3, 1, 2)]
    assert changes == sorted(changes)
    assert changes[0] == 0
    assert changes[2] > 5


def test_all_pictures_of_a_film_alike(film):
    camera = Camera.draw(np.random.default_rng(5))
    whole = camera.film(film)
    for i in range(3):
        np.testing.assert_array_equal(camera.film(film[i : i + 1])[0], whole[i])
    assert camera.film(film[:0]).shape == (0, 64, 80, 3)


def test_bad_input(film):
    for wrong in (film.astype(np.float32), film[0], film[..., :1], film[..., 0]):
        with pytest.raises(InputError, match="frames"):
            Camera().film(wrong)
    for strength in (-0.1, 2.1, float("nan")):
        with pytest.raises(InputError, match="strength"):
            Camera.draw(np.random.default_rng(0), strength)


def test_blur_and_texture_are_alike_in_both_directions():
    point = np.zeros((1, 41, 41, 3), np.uint8)
    point[0, 20, 20] = 255
    spread = (
        Camera(blur=2.0, contrast=1.0).film(np.full_like(point, 40) + point // 2)[0, ..., 0].astype(float)
    )
    np.testing.assert_array_equal(spread, spread.T)
    assert (spread[15:26, 20] > spread[10, 10] + 1).sum() > 5
    made = Camera(texture=0.1, seed=3).film(grey(128, 1, 240, 240))[0, ..., 0].astype(float) - 128

    def alike(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])

    for apart in (1, 2, 4):
        across, down = alike(made[:, apart:], made[:, :-apart]), alike(made[apart:], made[:-apart])
        assert abs(across - down) < 0.05, apart
    assert alike(made[:, 1:], made[:, :-1]) > 0.2
    assert abs(alike(made[:, 12:], made[:, :-12])) < 0.1


def test_draws_spread_as_wide_as_they_are_said_to():
    cameras = [Camera.draw(np.random.default_rng(seed)) for seed in range(600)]

    def spread(values: list[float]) -> float:
        return float(np.std(values))

    assert spread([np.log(c.gamma) for c in cameras]) == pytest.approx(0.22, rel=0.12)
    assert spread([np.log(c.contrast) for c in cameras]) == pytest.approx(0.15, rel=0.12)
    assert spread([c.brightness for c in cameras]) == pytest.approx(0.05, rel=0.12)
    for channel in range(3):
        assert spread([np.log(c.balance[channel]) for c in cameras]) == pytest.approx(0.06, rel=0.12)
    assert spread([np.log(c.saturation) for c in cameras if c.saturation]) == pytest.approx(0.3, rel=0.12)
    assert np.sqrt(np.mean([c.light[0] ** 2 for c in cameras])) == pytest.approx(0.22, rel=0.12)
    assert np.sqrt(np.mean([c.texture**2 for c in cameras])) == pytest.approx(0.022, rel=0.12)
    shares = {
        "grey": np.mean([c.saturation == 0 for c in cameras]),
        "blurred": np.mean([c.blur > 0 for c in cameras]),
        "sharpened": np.mean([c.blur < 0 for c in cameras]),
        "compressed": np.mean([c.quality < 100 for c in cameras]),
    }
    assert shares == pytest.approx(
        {"grey": 0.1, "blurred": 0.45, "sharpened": 0.2, "compressed": 0.4}, abs=0.06
    )
    assert np.mean([c.light[1] for c in cameras]) == pytest.approx(np.pi, rel=0.1)
    assert max(c.blur for c in cameras) > 1.2
    assert min(c.blur for c in cameras) < -0.7
