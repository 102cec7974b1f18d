"""Face detection: dlib on photographs, face-alignment's own code on weights made here, and what goes wrong.

No weights can be fetched in a test, so accuracy rests on dlib. face-alignment is run with its own network
classes and weights built by hand: a detector that takes a white square for a face, and random landmarks.
"""

import importlib.util
import threading
import urllib.request
import warnings
from contextlib import nullcontext
from io import BytesIO
from types import SimpleNamespace

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.cbook import get_sample_data
from skimage.data import astronaut

from talkface_lite.errors import InputError
from talkface_lite.faces import backends
from talkface_lite.faces import detection as fd
from talkface_lite.landmarks import ANCHORS, TEMPLATE, lip_opening

FAN, SFD = "2DFAN4-11f355bf06.pth.tar", "s3fd-619a316812.pth"
FACE = 112
"""Side of the face that the hand-made detector sees around a white square, pixels."""
SIDE = 192
"""Side of the picture it looks at: small, so that the face's surroundings reach over its edges."""


@pytest.fixture(scope="module")
def hopper() -> np.ndarray:
    return plt.imread(get_sample_data("grace_hopper.jpg"))


@pytest.fixture(scope="module")
def collins() -> np.ndarray:
    return astronaut()


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """No choice remembered from another test, an empty cache of weights, and no network."""

    def no_network(*_, **__):
        raise OSError("no network in tests")

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("TALKFACE_DEVICE", "cpu")
    fd._choose.cache_clear()
    yield
    fd._choose.cache_clear()
    torch.set_num_threads(threads)


# --- dlib on photographs ---


@pytest.mark.parametrize("name", ["hopper", "collins"])
def test_dlib_finds_a_plausible_face(name, request):
    image = request.getfixturevalue(name)
    points = fd.detect_landmarks(image, "dlib")
    assert points.dtype == np.float32
    assert points.shape == (68, 2)
    crop, aligned, matrix = fd.face_crop(image, points)
    assert crop.shape == (128, 128, 3)
    assert matrix.shape == (2, 3)
    assert np.linalg.norm(aligned[ANCHORS] - TEMPLATE, axis=-1).mean() < 2
    assert abs(aligned[48:68].mean(0) - (64, 94)).max() < 6
    assert abs(aligned[8] - (64, 119)).max() < 8
    left_to_right = aligned[[0, 36, 39, 33, 42, 45, 16], 0]
    top_to_bottom = aligned[[19, 37, 30, 33, 51, 57, 8], 1]
    assert (np.diff(left_to_right) > 3).all()
    assert (np.diff(top_to_bottom) > 2).all()
    # she keeps her lips closed, the other smiles with her teeth shown
    assert (lip_opening(aligned) < 2) if name == "hopper" else (3 < lip_opening(aligned) < 10)


@pytest.mark.parametrize("name", ["hopper", "collins"])
def test_points_move_with_the_photograph(name, request):
    image = request.getfixturevalue(name)
    points = fd.detect_landmarks(image, "dlib")
    eyes = np.linalg.norm(points[45] - points[36])
    shifted = fd.detect_landmarks(np.pad(image, ((21, 0), (37, 0), (0, 0)), mode="edge"), "dlib") - (37, 21)
    assert np.linalg.norm(shifted - points, axis=-1).mean() < 0.015 * eyes
    for factor in (0.6, 2):
        way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        resized = cv2.resize(image, None, fx=factor, fy=factor, interpolation=way)
        again = (fd.detect_landmarks(resized, "dlib") + 0.5) / factor - 0.5
        assert np.linalg.norm(again - points, axis=-1).mean() < 0.02 * eyes
        # no drift: half a pixel lost in the way to and from the region would show here
        assert abs((again - points)[ANCHORS].mean(0)).max() < 0.006 * eyes


def test_grey_photograph_has_its_face_in_the_same_place(collins):
    grey = cv2.cvtColor(collins, cv2.COLOR_RGB2GRAY)
    difference = fd.detect_landmarks(grey, "dlib") - fd.detect_landmarks(collins, "dlib")
    assert np.linalg.norm(difference, axis=-1).mean() < 1.5


def test_several_faces_take_the_largest_and_say_so(hopper, collins):
    small = cv2.resize(collins, None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA)
    pair = np.zeros((600, 512 + small.shape[1], 3), np.uint8)
    pair[:, :512], pair[: small.shape[0], 512:] = hopper, small
    with pytest.warns(UserWarning, match=r"^2 faces found; taking the largest, \d+ px wide$"):
        points = fd.detect_landmarks(pair, "dlib")
    alone = fd.detect_landmarks(hopper, "dlib")
    assert np.linalg.norm(points - alone, axis=-1).mean() < 0.02 * np.linalg.norm(alone[45] - alone[36])
    boxes = fd.detect_faces(pair, "dlib")
    assert boxes.shape == (2, 4)
    assert boxes[0, 2] - boxes[0, 0] > boxes[1, 2] - boxes[1, 0]
    assert boxes[0, 0] < 512 < boxes[1, 0]


def test_one_face_gives_no_warning(collins):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fd.detect_landmarks(collins, "dlib")


def test_face_under_40_pixels_is_refused(collins):
    tiny = cv2.resize(collins, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
    with pytest.raises(
        InputError, match=r"^image: got a face (2|3)\d px wide, expected a face of at least 40 px$"
    ):
        fd.detect_landmarks(tiny, "dlib")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((300, 300, 3), 90, np.uint8), "no face"),
        (np.zeros((300, 300, 3), np.float32), r"float32 \(300, 300, 3\)"),
        (np.zeros((300, 300, 4), np.uint8), r"uint8 \(300, 300, 4\)"),
        (np.zeros((3, 300, 300, 3), np.uint8), r"uint8 \(3, 300, 300, 3\)"),
        (np.zeros((0, 300, 3), np.uint8), "a picture of 300 x 0 px"),
        (np.zeros((39, 300, 3), np.uint8), "a picture of 300 x 39 px"),
        ("hopper.jpg", "str"),
        (None, "NoneType"),
    ],
)
def test_what_is_not_a_photograph_of_a_face_is_named(image, message):
    with pytest.raises(InputError, match=f"^image: got {message}, expected .*$"):
        fd.detect_landmarks(image, "dlib")


# --- face-alignment's own code, on weights made here ---


def white_square_detector() -> dict[str, torch.Tensor]:
    """State of an S3FD that calls each white cell of 16 px the middle of a face of side FACE."""
    from face_alignment.detection.sfd.net_s3fd import s3fd

    state = {name: torch.zeros_like(value) for name, value in s3fd().state_dict().items()}
    state["conv1_1.weight"][0, :, 1, 1] = 1 / 765
    state["conv1_1.bias"][0] = (104 + 117 + 123) / 765
    for layer in ("1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "4_1", "4_2", "4_3", "5_1", "5_2", "5_3"):
        state[f"conv{layer}.weight"][0, 0, 1, 1] = 1
    state["conv5_3.bias"][0] = -0.9
    state["conv5_3_norm.weight"][0] = 1
    for head in ("conv3_3_norm", "conv4_3_norm", "conv5_3_norm", "fc7", "conv6_2", "conv7_2"):
        state[f"{head}_mbox_conf.bias"][0] = 10
    state["conv5_3_norm_mbox_conf.weight"][1, 0, 1, 1] = 20
    state["conv5_3_norm_mbox_loc.bias"][2:] = 5 * np.log(FACE / 64)
    return state


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A torch.hub folder with both files where, and as, face-alignment looks for them."""
    from face_alignment.models import FAN as LandmarkNetwork

    folder = tmp_path_factory.mktemp("hub") / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(white_square_detector(), folder / SFD)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(LandmarkNetwork(4).state_dict(), folder / FAN)
    return folder.parents[1]


@pytest.fixture
def uncompiled(monkeypatch):
    """Run two small functions of face-alignment as the Python they are: numba takes 20 s to compile them."""
    import face_alignment.utils as theirs

    for name in ("transform_np", "_get_preds_fromhm"):
        monkeypatch.setattr(theirs, name, getattr(theirs, name).py_func)


def squares(*cells: tuple[int, int]) -> np.ndarray:
    """A soft grey picture with white 16 px cells, given as (column, row)."""
    noise = np.random.default_rng(0).integers(40, 160, (12, 12, 3), dtype=np.uint8)
    picture = cv2.resize(noise, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).clip(0, 200)
    for column, row in cells:
        picture[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = 255
    return picture


def test_face_alignment_is_called_and_gives_68_points_in_pixels_of_the_image(hub, uncompiled, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(hub))
    image = squares((5, 6))
    boxes = fd.detect_faces(image, "face-alignment")
    middle = (5 * 16 + 8, 6 * 16 + 8)
    assert np.allclose(boxes, [[*(np.array(middle) - FACE / 2), *(np.array(middle) + FACE / 2)]], atol=0.1)
    points = fd.detect_landmarks(image, "face-alignment")
    assert points.dtype == np.float32
    assert points.shape == (68, 2)

    from face_alignment import FaceAlignment, LandmarksType

    theirs = FaceAlignment(LandmarksType.TWO_D, device="cpu", compile=False)
    # a face of 400 px is handed over as it is: enlarge the picture to that and call the library itself
    size = round(SIDE * 400 / FACE)
    factor = size / SIDE
    large = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
    direct = theirs.get_landmarks_from_image(large, [((boxes[0] + 0.5) * factor - 0.5).tolist()])
    assert np.allclose(points, (direct[0] + 0.5) / factor - 0.5, atol=1e-3)
    assert len(np.unique(points, axis=0)) > 30
    # its crop reaches about one face around the middle of the box
    assert (abs(points - middle) < 1.2 * FACE).all()


def test_auto_takes_face_alignment_where_its_weights_are(hub, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(hub))
    monkeypatch.setattr(fd, "dlib_backend", lambda: pytest.fail("dlib was asked"))
    assert fd._backend("auto").name == "face-alignment"


def test_face_alignment_no_face_and_two_faces(hub, uncompiled, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(hub))
    with pytest.raises(InputError, match="no face"):
        fd.detect_landmarks(squares(), "face-alignment")
    assert fd.detect_faces(squares(), "face-alignment").shape == (0, 4)
    with pytest.warns(UserWarning, match="^2 faces found"):
        fd.detect_landmarks(squares((1, 1), (10, 10)), "face-alignment")


# --- films ---


def test_a_face_of_a_film_has_the_points_of_the_photograph(collins):
    faces = fd.FilmFaces("dlib")
    box = faces.find(collins, small=False)[0]
    face = faces.first(collins, box)
    points = fd.detect_landmarks(collins, "dlib")
    eyes = np.linalg.norm(points[45] - points[36])
    assert face.points.dtype == np.float32
    assert np.linalg.norm(face.points - points, axis=-1).mean() < 0.012 * eyes
    at_once = faces.points(collins, box)
    assert at_once.dtype == np.float32
    assert np.linalg.norm(at_once - points, axis=-1).mean() < 0.012 * eyes
    moved = np.roll(collins, (9, -14), (0, 1))
    again = faces.again(moved, face)
    assert np.linalg.norm(again.points - (-14, 9) - points, axis=-1).mean() < 0.015 * eyes
    assert np.allclose(again.box - face.box, (-14, 9, -14, 9), atol=2)
    assert faces.again(np.roll(collins, 200, 1), face) is None
    assert faces.again(np.full_like(collins, 90), face) is None


def test_a_film_through_face_alignment(hub, uncompiled, monkeypatch):
    from talkface_lite.recordings.faces import follow

    monkeypatch.setenv("TORCH_HOME", str(hub))
    # a network pass takes a second here, so the shot is a short one
    shots, gaps = follow([squares((5, 6))] * 2 + [squares()], "face-alignment")
    assert shots == []
    assert [(gap.start, gap.stop, gap.reason) for gap in gaps] == [
        (0, 2, "a shot of under 5 frames"),
        (2, 3, "no face"),
    ]


# --- the network and the cache ---


def test_auto_without_weights_or_network_takes_dlib(capfd):
    assert fd._backend("auto").name == "dlib"
    assert capfd.readouterr().err == ""
    with pytest.raises(
        InputError, match=r"^face-alignment's weights \S+: got no file and no network, expected pip"
    ):
        fd._backend("face-alignment")


def test_a_network_that_never_answers_is_left_waiting(monkeypatch):
    forever = threading.Event()

    def wait(*_, **__):
        forever.wait(10)
        return nullcontext()

    monkeypatch.setattr(urllib.request, "urlopen", wait)
    try:
        assert not backends._reachable("https://example.org/weights", seconds=0.1)
    finally:
        forever.set()


def test_without_either_the_message_says_what_to_install(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        backends, "find_spec", lambda name: None if "dlib" in name or "recog" in name else find(name)
    )
    with pytest.raises(InputError) as error:
        fd._backend("auto")
    assert "pip install 'talkface_lite[dlib]'" in str(error.value)
    assert "\n" not in str(error.value)
    backends.dlib_backend.cache_clear()
    with pytest.raises(InputError, match="detector 'dlib'"):
        fd._backend("dlib")


def test_unknown_detector_is_named():
    with pytest.raises(InputError, match="detector: got 'mtcnn'"):
        fd.detect_landmarks(np.zeros((99, 99, 3), np.uint8), "mtcnn")


class Answer(BytesIO):
    """What urlopen gives: bytes with headers."""

    def __init__(self, content: bytes, length: int) -> None:
        super().__init__(content)
        self.headers = {"Content-Length": str(length)}


@pytest.mark.parametrize("missing", [0, 100])
def test_weights_are_fetched_whole_or_not_at_all(monkeypatch, tmp_path, missing, capfd):
    content = bytes(range(256)) * 8
    monkeypatch.setattr(
        urllib.request, "urlopen", lambda *_, **__: Answer(content[: len(content) - missing], len(content))
    )
    cache = tmp_path / "checkpoints"
    if missing:
        with pytest.raises(InputError, match="broke off"):
            backends.fetch_missing(cache)
        assert list(cache.iterdir()) == []
    else:
        backends.fetch_missing(cache)
        assert {path.name: path.read_bytes() for path in cache.iterdir()} == {FAN: content, SFD: content}
    assert capfd.readouterr().err.startswith(f"fetching {SFD} into")


def test_broken_weights_are_one_line(tmp_path):
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    for name in (FAN, SFD):
        (cache / name).write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match="weights that do not load") as error:
        fd._backend("face-alignment")
    assert "\n" not in str(error.value)


def test_dlib_model_is_found_without_importing_its_package(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "face_recognition_models", SimpleNamespace(__spec__=None))
    monkeypatch.delitem(sys.modules, "face_recognition_models")
    assert backends.dlib_model().name == "shape_predictor_68_face_landmarks.dat"
    assert "face_recognition_models" not in sys.modules
