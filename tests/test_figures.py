import base64
import re

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from talkface_lite.clip import Clip
from talkface_lite.errors import InputError
from talkface_lite.figures import (
    CYCLE,
    PALETTE,
    evenly,
    player,
    show_frames,
    show_landmarks,
    show_speech,
    side_by_side,
    use_house_style,
)
from talkface_lite.media import read_video

# Viénot, Brettel and Mollon (1999): linear RGB as a dichromat sees it
DICHROMATS = {
    "protan": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    "deutan": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
}


@pytest.fixture(autouse=True)
def _close_figures():
    with matplotlib.rc_context():
        yield
    plt.close("all")


@pytest.fixture
def face() -> np.ndarray:
    return np.random.default_rng(0).uniform(20, 108, (68, 2)).astype(np.float32)


def lab(color: str, eyes: np.ndarray) -> np.ndarray:
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(eyes @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    f = np.cbrt(xyz / [0.9505, 1, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eyes", DICHROMATS)
def test_roles_that_share_a_plot_stay_apart_for_colour_blind_readers(eyes):
    roles = ["truth", "predicted", "baseline", "highlight", "ink"]
    colors = [lab(PALETTE[role], DICHROMATS[eyes]) for role in roles]
    for i, one in enumerate(colors):
        for j in range(i):
            assert np.linalg.norm(one - colors[j]) > 15, (roles[i], roles[j])
    # a green and an orange that a deutan reader cannot tell apart: the measure must say so
    one, other = (lab(color, DICHROMATS["deutan"]) for color in ("#8db600", "#d99c00"))
    assert np.linalg.norm(one - other) < 15


def test_palette_cannot_be_changed_by_a_chapter():
    with pytest.raises(TypeError):
        PALETTE["truth"] = "red"


def test_house_style_gives_its_colours_and_size():
    use_house_style()
    figure, ax = plt.subplots()
    (line,) = ax.plot([0, 1])
    assert line.get_color() == CYCLE[0] == PALETTE["truth"]
    assert figure.get_size_inches()[0] * figure.dpi == pytest.approx(704)
    assert type(figure.get_layout_engine()).__name__ == "ConstrainedLayoutEngine"


def test_landmarks_are_drawn_where_they_are_with_y_down(face):
    _, ax = plt.subplots()
    show_landmarks(ax, face, color="predicted", label="network", numbers=[48])
    marks = ax.lines[-1]
    np.testing.assert_allclose(marks.get_xydata(), face)
    assert marks.get_color() == PALETTE["predicted"]
    assert ax.yaxis_inverted()
    assert ax.get_xlim() == (-0.5, 127.5)
    assert ax.get_legend_handles_labels()[1] == ["network"]
    assert [text.get_text() for text in ax.texts] == ["48"]
    drawn = np.concatenate([line.get_xydata() for line in ax.lines[:-1]])
    gaps = np.linalg.norm(face[:, None] - drawn[None], axis=-1).min(axis=1)
    assert gaps.max() < 1e-3, "a line misses one of its points"


def test_landmarks_alone_turn_y_once_without_limits(face):
    _, ax = plt.subplots()
    show_landmarks(ax, face, limits=None)
    show_landmarks(ax, face, limits=None, color="predicted")
    assert ax.yaxis_inverted()


def test_a_clip_is_not_one_face(face):
    _, ax = plt.subplots()
    with pytest.raises(InputError, match="one face"):
        show_landmarks(ax, np.stack([face, face]))


def test_frames_stand_in_order_under_their_times(face):
    frames = np.arange(50, dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2).repeat(3, 3)
    figure = show_frames(
        {"truth": frames, "predicted": frames}, n=5, landmarks={"truth": np.stack([face] * 50)}
    )
    axes = np.array(figure.axes).reshape(2, 5)
    assert [ax.images[0].get_array()[0, 0, 0] for ax in axes[1]] == evenly(50, 5) == [5, 15, 25, 35, 45]
    assert [ax.get_title() for ax in axes[0]] == ["0.22 s", "0.62 s", "1.02 s", "1.42 s", "1.82 s"]
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["truth", "predicted"]
    assert all(ax.lines for ax in axes[0])
    assert not any(ax.lines for ax in axes[1])


def test_frames_of_other_shapes_are_refused():
    with pytest.raises(InputError, match="uint8"):
        show_frames(np.zeros((4, 8, 8, 3), np.float32))
    with pytest.raises(InputError, match="one length"):
        show_frames({"a": np.zeros((4, 8, 8, 3), np.uint8), "b": np.zeros((5, 8, 8, 3), np.uint8)})


def test_evenly_spaced_indices_never_repeat():
    assert evenly(3, 6) == [0, 1, 2]
    assert len(set(evenly(75, 8))) == 8


def test_speech_is_drawn_over_seconds():
    speech = np.linspace(-0.5, 0.5, 16_000, dtype=np.float32)
    _, ax = plt.subplots()
    show_speech(ax, speech, intervals=[("bin", 0.1, 0.3)])
    assert ax.lines[0].get_xdata()[8_000] == 0.5
    assert ax.get_xlim() == (0, 1)
    assert ax.texts[0].get_text() == "bin"
    assert ax.texts[0].get_position()[0] == pytest.approx(0.2)


def test_player_carries_a_video_with_sound_and_text(tmp_path, face):
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.integers(0, 255, (1, 32, 48, 3), np.uint8), 10, 0)
    speech = (0.5 * np.sin(np.arange(6_400) / 8)).astype(np.float32)
    clip = Clip(frames=frames, landmarks=np.stack([face] * 10), speech=speech, words=(('"bin"', 0.1, 0.3),))
    page = player(clip)._repr_html_()
    assert "controls" in page
    assert 'aria-label="A talking face saying: &quot;bin&quot;."' in page
    data = base64.b64decode(re.search(r"data:video/mp4;base64,([^\"]+)", page)[1])
    (tmp_path / "clip.mp4").write_bytes(data)
    video, fps, sound = read_video(tmp_path / "clip.mp4")
    assert video.shape == frames.shape
    assert fps == 25
    assert np.abs(sound).max() > 0.3
    poster = base64.b64decode(re.search(r"data:image/jpeg;base64,([^\"]+)", page)[1])
    assert poster[:2] == b"\xff\xd8"


def test_player_draws_a_clip_without_pictures(face):
    clip = Clip(frames=None, landmarks=np.stack([face] * 3), speech=np.zeros(1_920, np.float32))
    page = player(clip, alt="Three frames of points.")._repr_html_()
    assert "Three frames of points." in page
    assert "data:video/mp4" in page


def test_side_by_side_keeps_each_video_whole():
    left, right = np.zeros((2, 4, 6, 3), np.uint8), np.full((2, 4, 8, 3), 9, np.uint8)
    joined = side_by_side(left, right, gap=2)
    assert joined.shape == (2, 4, 16, 3)
    np.testing.assert_array_equal(joined[:, :, :6], left)
    np.testing.assert_array_equal(joined[:, :, 8:], right)
    assert (joined[:, :, 6:8] == 255).all()
    with pytest.raises(InputError, match="one length"):
        side_by_side(left, right[:1])
