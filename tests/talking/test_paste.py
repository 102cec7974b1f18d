"""What is pasted lies where it belongs, leaves the rest alone and shows no seam."""

import tracemalloc

import cv2
import numpy as np
import pytest

from talkface_lite.errors import InputError
from talkface_lite.landmarks import apply_transform, invert_transform, magnify, warp_crop
from talkface_lite.talking.paste import FEATHER, Paster, crop_canvas

ALL = np.ones((128, 128), np.float32)
NONE = np.zeros((128, 128), np.float32)
SEEN = np.array([[1, 0, 0], [0, 1, 0]], float)


def picture(height: int = 300, width: int = 260, seed: int = 0) -> np.ndarray:
    """Soft coloured blobs, like a photograph a little out of focus."""
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 6)
    return np.clip((soft - 127.5) * 12 + 127.5, 0, 255).astype(np.uint8)


def turned(degrees: float, scale: float, centre: tuple[float, float]) -> np.ndarray:
    """Photograph to crop: a face ``scale`` times the crop's size about a point of the photograph."""
    angle = np.deg2rad(degrees)
    linear = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / scale
    return np.hstack([linear, (np.array([63.5, 63.5]) - linear @ centre)[:, None]])


def colours(crop: np.ndarray) -> np.ndarray:
    return (crop / 127.5 - 1).astype(np.float32)


def painted(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (128, 128, 3)).astype(np.float32), rng.random((128, 128), np.float32)


def places(shape: tuple[int, ...], matrix: np.ndarray) -> np.ndarray:
    """``(H, W, 2)``: where each pixel lies in the crop."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return apply_transform(np.stack([x, y], -1).astype(float), matrix)


WAYS = [
    pytest.param(turned(0, 1, (140, 160)), id="as large"),
    pytest.param(turned(0, 1.7, (130, 150)), id="larger"),
    pytest.param(turned(33, 1.3, (131.3, 149.2)), id="turned"),
    pytest.param(turned(180, 0.4, (100, 100)), id="small, upside down"),
    pytest.param(turned(-20, 0.05, (100.3, 99.2)), id="tiny"),
    pytest.param(turned(10, 2, (20, 10)), id="over the edge"),
    pytest.param(turned(-40, 9, (130, 150)), id="larger than the photograph"),
]


@pytest.mark.parametrize("matrix", WAYS)
def test_nothing_painted_is_the_photograph_byte_for_byte(matrix):
    image = picture()
    np.testing.assert_array_equal(Paster(image, matrix).paste(painted()[0], NONE), image)


@pytest.mark.parametrize("matrix", WAYS)
def test_outside_the_crop_nothing_changes(matrix):
    image = picture()
    kept = image.copy()
    paster = Paster(image, matrix)
    result = paster.paste(*painted())
    np.testing.assert_array_equal(image, kept)
    assert result.shape == image.shape
    assert result.dtype == np.uint8
    place = places(image.shape, matrix)
    outside = ((place < -0.5) | (place > 127.5)).any(-1)
    np.testing.assert_array_equal(result[outside], image[outside])
    inside = np.argwhere(~outside)
    # the tip of a turned crop can lie between pixels
    slack = np.array(
        [
            inside.min(0) - [paster.rows.start, paster.columns.start],
            [paster.rows.stop, paster.columns.stop] - inside.max(0) - 1,
        ]
    )
    assert slack.min() >= 0
    assert slack.max() <= 1 or not outside[0, 0], "or the tip lies outside the photograph"


@pytest.mark.parametrize("size", [1, 2, 6])
def test_the_border_of_the_crop_is_the_photograph_also_where_all_is_painted(size):
    image = picture(128 * size + 40, 128 * size + 30)
    shift = np.array([[1, 0, -13], [0, 1, -17]], float)
    matrix = magnify(1 / size) @ np.vstack([shift, [0, 0, 1]])
    result = Paster(image, matrix).paste(np.ones((128, 128, 3), np.float32), ALL)
    place = places(image.shape, matrix)
    border = ((place <= 0) | (place >= 127)).any(-1)
    np.testing.assert_array_equal(result[border], image[border])
    inside = ((place >= FEATHER) & (place <= 127 - FEATHER)).all(-1)
    assert (result[inside] == 255).all()


def steepest_across(picture: np.ndarray, inside: np.ndarray) -> float:
    """The largest step between two neighbours of which one lies in the crop and one does not."""
    levels = picture[..., 0].astype(int)
    return max(
        np.abs(np.diff(levels, axis=axis))[np.diff(inside.astype(int), axis=axis) != 0].max()
        for axis in (0, 1)
    )


@pytest.mark.parametrize("level", [-1.0, 1.0])
@pytest.mark.parametrize("degrees", [0, 27])
@pytest.mark.parametrize("scale", [0.1, 0.5, 1, 1.5, 4])
def test_no_seam_around_another_brightness(level, degrees, scale):
    image = np.full((600, 600, 3), 90, np.uint8)
    image += (np.arange(600) // 8).astype(np.uint8)[:, None, None]
    matrix = turned(degrees, scale, (300, 300))
    place = places(image.shape, matrix)
    inside = ((place >= -0.5) & (place <= 127.5)).all(-1)
    constant = np.full((128, 128, 3), level, np.float32)
    soft = Paster(image, matrix).paste(constant, ALL)
    hard = Paster(image, matrix, feather=0).paste(constant, ALL)
    seam = steepest_across(hard, inside)
    assert seam > 80, "the measure sees a seam where there is one"
    if scale > 1:
        assert steepest_across(soft, inside) <= steepest_across(image, inside)
    else:  # the soft border is a few pixels wide, and its first is painted a little
        assert steepest_across(soft, inside) <= (0.6 if scale < 0.5 else 0.1) * seam
    # within the soft border brightness goes over smoothly, at one and a half times an even pace
    steps = np.abs(np.diff(soft[..., 0].astype(int), axis=0)).max()
    assert steps <= 1.5 * 165 / max(scale * FEATHER, 2) + 2


@pytest.mark.parametrize("feather", [0, FEATHER])
def test_at_128_pixels_it_is_the_networks_own_frame(feather):
    crop = picture(128, 128)
    colour, alpha = painted()
    photo = colours(crop)
    frame = np.rint(((alpha[..., None] * colour + (1 - alpha[..., None]) * photo) + 1) * 127.5)
    paster = Paster(crop, SEEN, feather=feather)
    assert (paster.mask == 1).all(), "no photograph lies beyond the crop, so there is no seam to hide"
    assert np.abs(paster.paste(colour, alpha) - frame).max() <= 1
    # the same inside a larger picture, but for the soft border
    around = picture(200, 180, seed=1)
    around[30:158, 20:148] = crop
    paster = Paster(around, np.array([[1, 0, -20], [0, 1, -30]]))
    inside = slice(int(FEATHER), 127 - int(FEATHER))
    assert np.abs(paster.paste(colour, alpha)[30:158, 20:148] - frame)[inside, inside].max() <= 1


def dome(depth: float = 6.0) -> np.ndarray:
    """A flow that is largest in the middle of the map and nothing at its border."""
    y, x = (np.mgrid[:128, :128] - 63.5) / 63.5
    height = np.clip(1 - x**2, 0, 1) * np.clip(1 - y**2, 0, 1)
    return np.stack([0.4 * depth * height, depth * height], axis=-1).astype(np.float32)


def test_at_128_pixels_a_flow_moves_the_photograph_under_the_paint():
    crop, flow = picture(128, 128), dome()
    colour, alpha = painted()
    places = (np.mgrid[:128, :128][::-1].transpose(1, 2, 0) + flow).astype(np.float32)
    moved = colours(cv2.remap(crop, places, None, cv2.INTER_LINEAR))
    frame = np.rint(((alpha[..., None] * colour + (1 - alpha[..., None]) * moved) + 1) * 127.5)
    result = Paster(crop, SEEN).paste(colour, alpha, flow)
    assert np.abs(result - frame).max() <= 1
    assert np.abs(result.astype(int) - Paster(crop, SEEN).paste(colour, alpha)).max() > 20
    still = Paster(crop, SEEN).paste(colour, alpha, np.zeros_like(flow))
    np.testing.assert_array_equal(still, Paster(crop, SEEN).paste(colour, alpha))


@pytest.mark.parametrize(("degrees", "scale"), [(0, 3), (30, 2), (180, 1.5), (-50, 0.6)])
def test_a_flow_moves_a_photograph_of_any_size_and_turn(degrees, scale):
    """A dot that the flow takes from one place of the crop to another goes there in the photograph."""
    image = np.full((420, 400, 3), 90, np.uint8)
    matrix = turned(degrees, scale, (200, 210))
    back = invert_transform(matrix)
    aim = np.array([[63.0, 70.0]])
    flow = np.broadcast_to(np.array([3.0, -8.0], np.float32), (128, 128, 2))
    source, wanted = apply_transform(aim + flow[0, 0], back)[0], apply_transform(aim, back)[0]
    y, x = np.mgrid[:420, :400]
    spot = np.exp(-((x - source[0]) ** 2 + (y - source[1]) ** 2) / (2 * (2 * scale) ** 2))
    image = (image + 150 * spot[..., None]).astype(np.uint8)
    result = (
        Paster(image, matrix).paste(np.zeros((128, 128, 3), np.float32), NONE, flow).astype(float)[..., 0]
    )
    weight = np.where(result > 120, result - 120, 0)
    found = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
    assert np.abs(found - wanted).max() < 0.3 + 0.1 * scale
    assert np.abs(source - wanted).max() > 4 * min(scale, 1)


def test_a_moved_photograph_keeps_its_own_detail():
    """Stripes finer than a pixel of the map come through: nothing that is only moved is enlarged."""
    image = np.zeros((512, 512, 3), np.uint8)
    image[:, ::2] = 200
    paster = Paster(image, turned(0, 4, (255.5, 255.5)))
    flow = np.zeros((128, 128, 2), np.float32)
    flow[32:96, 32:96, 1] = 5
    result = paster.paste(np.zeros((128, 128, 3), np.float32), NONE, flow)
    np.testing.assert_array_equal(result, image)


def test_where_nothing_moves_and_nothing_is_painted_it_is_the_photograph():
    image, flow = picture(400, 400), dome()
    flow[:64] = 0
    result = Paster(image, turned(0, 2, (200, 200))).paste(painted()[0], NONE, flow)
    unmoved = apply_transform(np.array([[0, 62.0]]), invert_transform(turned(0, 2, (200, 200))))[0, 1]
    np.testing.assert_array_equal(result[: int(unmoved)], image[: int(unmoved)])
    assert (result != image).any()


@pytest.mark.parametrize(
    "flow", [np.zeros((128, 128)), np.zeros((128, 128, 2), int), np.full((128, 128, 2), np.nan)]
)
def test_a_flow_of_another_kind_is_refused(flow):
    with pytest.raises(InputError, match="flow"):
        Paster(picture(), turned(0, 1, (140, 160))).paste(*painted(), flow)


@pytest.mark.parametrize(("scale", "most"), [(0.6, 8), (1, 1), (1.5, 3), (3, 2), (7, 2)])
def test_the_crop_pasted_over_itself_loses_little(scale, most):
    image = picture(300, 300) if scale < 2 else cv2.resize(picture(150, 150), None, fx=7, fy=7)
    matrix = turned(12, scale, ((image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2))
    result = Paster(image, matrix).paste(colours(warp_crop(image, matrix)), ALL)
    change = np.abs(result.astype(int) - image)
    assert change.mean() < most / 4
    assert np.percentile(change, 99) <= most


@pytest.mark.parametrize("scale", [0.3, 0.9, 1, 1.8, 2.5, 6])
def test_a_dot_lands_where_the_transform_says(scale):
    image = np.zeros((900, 1000, 3), np.uint8)
    matrix = turned(25, scale, (480.3, 451.7))
    for point in ([30.0, 40.0], [90.0, 25.0], [64.0, 100.0]):
        y, x = np.mgrid[:128, :128]
        alpha = np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / (2 * 3.0**2)).astype(np.float32)
        result = Paster(image, matrix).paste(np.ones((128, 128, 3), np.float32), alpha)[..., 1].astype(float)
        y, x = np.mgrid[: result.shape[0], : result.shape[1]]
        found = np.array([(x * result).sum(), (y * result).sum()]) / result.sum()
        expected = apply_transform(np.array([point]), invert_transform(matrix))[0]
        assert np.abs(found - expected).max() < 0.05 * max(scale, 1), (found, expected)


def test_colour_that_was_not_asked_for_does_not_leak():
    image = np.full((512, 512, 3), 100, np.uint8)
    alpha = NONE.copy()
    alpha[40:90, 40:90] = 1
    grey = np.full((128, 128, 3), 100 / 127.5 - 1, np.float32)
    garbage = grey.copy()
    garbage[alpha == 0] = [1, -1, 1]
    paster = Paster(image, magnify(1 / 4))
    np.testing.assert_array_equal(paster.paste(garbage, alpha), paster.paste(grey, alpha))
    assert np.abs(paster.paste(grey, alpha).astype(int) - image).max() <= 1


@pytest.mark.parametrize("scale", [2, 3.3, 5.5])
def test_edges_are_enlarged_without_a_halo(scale):
    image = np.zeros((800, 800, 3), np.uint8)
    colour = np.full((128, 128, 3), -0.5, np.float32)
    colour[:, 64:] = 0.5
    paster = Paster(image, turned(0, scale, (400, 400)))
    result = paster.paste(colour, ALL)[paster.rows, paster.columns, 0][paster.mask == 1]
    assert result.min() == round(0.5 * 127.5)
    assert result.max() == round(1.5 * 127.5)
    row = paster.paste(colour, ALL)[400, paster.columns, 0].astype(int)
    assert (np.diff(row)[len(row) // 4 : -len(row) // 4] >= 0).all()


@pytest.mark.parametrize("scale", [1.5, 5.5])
def test_waves_are_enlarged_as_waves_and_not_as_a_row_of_roofs(scale):
    image, matrix = np.zeros((800, 800, 3), np.uint8), turned(20, scale, (400, 400))
    wave = np.sin(2 * np.pi * np.arange(128) / 8 + 0.2).astype(np.float32)
    paster = Paster(image, matrix)
    result = paster.paste(np.broadcast_to(wave[:, None], (128, 128, 3)), ALL)[paster.rows, paster.columns, 0]
    x = places(image.shape, matrix)[paster.rows, paster.columns, 0]
    true = (np.sin(2 * np.pi * x / 8 + 0.2) + 1) * 127.5
    assert np.sqrt(((result - true)[paster.mask == 1] ** 2).mean()) < 3.5, "linear is 5 levels off"


def test_a_small_face_does_not_alias():
    image = np.zeros((90, 100, 3), np.uint8)
    stripes = np.ones((128, 128, 3), np.float32)
    stripes[:, ::2] = -1
    paster = Paster(image, turned(0, 0.25, (50.1, 45)))
    inside = paster.paste(stripes, ALL)[paster.rows, paster.columns][paster.mask == 1]
    assert np.abs(inside.astype(int) - 127.5).max() < 8


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 3), (16, 17), (127, 129), (301, 303)])
def test_odd_and_tiny_pictures(shape):
    image = picture(*shape)
    matrix = turned(15, max(shape) / 200, ((shape[1] - 1) / 2, (shape[0] - 1) / 2))
    paster = Paster(image, matrix)
    assert paster.paste(*painted()).shape == image.shape
    np.testing.assert_array_equal(paster.paste(painted()[0], NONE), image)


def test_pictures_that_are_views_are_read_as_they_stand():
    image = picture(300, 400)
    matrix = turned(10, 1.2, (150, 150))
    view = image[::-1, ::2]
    expected = Paster(view.copy(), matrix).paste(*painted())
    np.testing.assert_array_equal(Paster(view, matrix).paste(*painted()), expected)
    fixed = image.copy()
    fixed.flags.writeable = False
    result = Paster(fixed, matrix).paste(*painted())
    result[0, 0] = 0  # the result is the caller's own


def test_grey_stays_grey():
    image = np.repeat(picture()[..., :1], 3, axis=2)
    colour = np.repeat(painted()[0][..., :1], 3, axis=2)
    result = Paster(image, turned(20, 1.4, (130, 150))).paste(colour, ALL)
    assert (result == result[..., :1]).all()


@pytest.mark.parametrize("scale", [0.4, 1, 2.6])
def test_paint_in_a_corner_is_laid_as_if_all_of_the_map_had_been(scale):
    """Only the box around the paint is enlarged; with the faintest paint elsewhere it is the whole map."""
    image = picture(400, 420, seed=2)
    paster = Paster(image, turned(20, scale, (200, 190)))
    colour, flow = colours(picture(128, 128)), np.roll(dome(), 30, axis=0)
    flow *= np.clip(flow[..., 1:] / 6 - 0.5, 0, 1)
    alpha = flow[..., 1] / 6
    dot = np.zeros_like(alpha)
    dot[60:64, 50:54] = 1
    for a, how in ((alpha, None), (alpha, flow), (dot, None)):
        everywhere = np.maximum(a, 1e-7)
        part, whole = (paster.paste(colour, one, how).astype(int) for one in (a, everywhere))
        assert np.abs(part - whole).max() <= 2, "OpenCV knows 32 places between two pixels"
        assert np.abs(part - whole).mean() < 0.05
        assert (part != image).any()


def test_band_by_band_is_the_same_as_at_once(monkeypatch):
    image, matrix = picture(), turned(33, 1.6, (131.3, 149.2))
    expected = Paster(image, matrix).paste(*painted())
    for rows in (1, 7, 10_000):
        monkeypatch.setattr("talkface_lite.talking.paste._BAND_ROWS", rows)
        result = Paster(image, matrix).paste(*painted())
        assert np.abs(result.astype(int) - expected).max() <= 1


def test_one_copy_of_the_photograph_is_all_the_memory_it_takes():
    image = np.zeros((2000, 3000, 3), np.uint8)
    paster = Paster(image, turned(20, 700 / 128, (1500, 1000)))
    colour, alpha = painted()
    tracemalloc.start()
    result = paster.paste(colour, alpha)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.nbytes <= peak < result.nbytes + 20e6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((9, 9), np.uint8)}, "image: got uint8 (9, 9)"),
        ({"image": np.zeros((9, 9, 3), np.float32)}, "image: got float32"),
        ({"image": np.zeros((0, 9, 3), np.uint8)}, "image: got uint8 (0, 9, 3)"),
        ({"matrix": np.zeros((2, 3))}, "an invertible 2 x 3 matrix"),
        ({"matrix": np.full((2, 3), np.nan)}, "an invertible 2 x 3 matrix"),
        ({"matrix": np.eye(3)}, "an invertible 2 x 3 matrix"),
        ({"matrix": turned(0, 1, (900, 900))}, "matrix: got a crop outside the photograph"),
        ({"feather": -1}, "feather: got -1"),
        ({"feather": float("nan")}, "feather: got nan"),
        ({"colour": np.zeros((128, 128, 3), np.uint8)}, "colour: got uint8"),
        ({"colour": np.zeros((3, 128, 128), np.float32)}, "colour: got float32 (3, 128, 128)"),
        ({"colour": np.full((128, 128, 3), 2.0)}, "colour: got values from 2 to 2"),
        ({"colour": np.full((128, 128, 3), np.nan)}, "colour: got values from nan"),
        ({"alpha": ALL[..., None]}, "alpha: got float32 (128, 128, 1)"),
        ({"alpha": -ALL}, "alpha: got values from -1 to -1"),
        ({"alpha": ALL * np.nan}, "alpha: got values from nan"),
    ],
)
def test_strange_input_gets_one_line(change, message):
    given = {"image": picture(), "matrix": turned(0, 1, (130, 150)), "feather": 4, "colour": painted()[0]}
    given = {**given, "alpha": ALL} | change
    with pytest.raises(InputError) as caught:
        Paster(given["image"], given["matrix"], feather=given["feather"]).paste(
            given["colour"], given["alpha"]
        )
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("side", [64, 128, 256, 301])
def test_the_canvas_is_the_crop_and_knows_the_way_back(side):
    image, matrix = picture(), turned(17, 1.9, (131.3, 149.2))
    canvas, way = crop_canvas(image, matrix, side)
    np.testing.assert_array_equal(canvas, warp_crop(image, matrix, side))
    corners = np.array([[-0.5, -0.5], [side - 0.5, side - 0.5]])
    np.testing.assert_allclose(apply_transform(corners, way), [[-0.5, -0.5], [127.5, 127.5]], atol=1e-9)
    assert (Paster(canvas, way).mask == 1).all()
    with pytest.raises(InputError, match="side: got 0"):
        crop_canvas(image, matrix, 0)
