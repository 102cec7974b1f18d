"""A photograph and a recording in, a clip out, for any system."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self

import numpy as np

from talkface_lite.clip import CROP_SIZE, Clip
from talkface_lite.data.dataset import pad_to_frames
from talkface_lite.errors import InputError
from talkface_lite.faces.detection import detect_landmarks
from talkface_lite.landmarks import align, draw_landmarks, warp_crop
from talkface_lite.media import read_image, read_speech
from talkface_lite.runtime import device as choose_device
from talkface_lite.systems import ATVG, ATVGVideo, load, load_video, shipped_video_weights
from talkface_lite.systems.atvg.released import ReleasedATVG, load_released
from talkface_lite.systems.atvg.vg_net import to_pictures
from talkface_lite.systems.base import Stretch


def _hopper() -> np.ndarray:
    from matplotlib.cbook import get_sample_data

    with get_sample_data("grace_hopper.jpg") as file:
        return read_image(file.name)


def _collins() -> np.ndarray:
    try:
        from skimage.data import astronaut
    except ImportError as error:
        raise InputError("photo 'collins'", "no scikit-image", "pip install scikit-image") from error
    return astronaut()


PHOTOGRAPHS: Mapping[str, Callable[[], np.ndarray]] = MappingProxyType(
    {"hopper": _hopper, "collins": _collins}
)
"""Public-domain photographs by name: Grace Hopper (matplotlib carries it), Eileen Collins (scikit-image)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Portrait:
    """A photograph with the face in it found.

    Parameters
    ----------
    image:
        uint8 RGB ``(H, W, 3)``.
    landmarks:
        float32 ``(68, 2)`` in pixels of the aligned 128×128 crop.
    matrix:
        float64 ``(2, 3)``, photograph to crop.
    name:
        What to call it.
    """

    image: np.ndarray
    landmarks: np.ndarray
    matrix: np.ndarray
    name: str

    @classmethod
    def of(cls, photo: str | os.PathLike | np.ndarray | Self, *, detector: str = "auto") -> Self:
        """Find the largest face of a photograph.

        Parameters
        ----------
        photo:
            A file, ``"hopper"`` or ``"collins"``, or uint8 RGB ``(H, W, 3)``.
        detector:
            As for :func:`talkface_lite.faces.detection.detect_landmarks`.

        Raises
        ------
        InputError
            When it is not a picture, or no face is found.
        """
        if isinstance(photo, cls):
            return photo
        if isinstance(photo, np.ndarray):
            name, image = "photo", photo
        elif str(photo) in PHOTOGRAPHS and not Path(photo).exists():
            name, image = str(photo), PHOTOGRAPHS[str(photo)]()
        else:
            name, image = str(photo), read_image(photo)
        try:
            landmarks, matrix = align(detect_landmarks(image, detector))
        except InputError as error:
            raise InputError(f"{name}: {error.what}", error.got, error.expected) from error
        return cls(image=image, landmarks=landmarks, matrix=matrix, name=name)

    def crop(self, size: int = CROP_SIZE) -> np.ndarray:
        """uint8 ``(size, size, 3)``: the aligned face."""
        return warp_crop(self.image, self.matrix, size)


RELEASED_SUFFIXES = (".pth", ".pt", ".pkl", ".tar")
"""What torch's own files are called; the package's end in .safetensors."""


class Talker:
    """A trained system that makes photographs talk.

    Examples
    --------
    >>> from talkface_lite import Talker                        # doctest: +SKIP
    >>> clip = Talker.load("atvg").talk("me.jpg", "hello.wav")  # doctest: +SKIP

    Parameters
    ----------
    system:
        Speech to landmarks, trained.
    video:
        Landmarks to pictures, trained. None: the landmarks speak, drawn on the photograph. The released
        networks are both.
    device:
        Where to compute; None as :func:`talkface_lite.runtime.device` chooses.
    precision:
        Of the pictures: ``"32"``, ``"bf16"``, or ``"auto"``, bfloat16 where that is fast.
    """

    def __init__(
        self,
        system: ATVG | ReleasedATVG,
        video: ATVGVideo | ReleasedATVG | None = None,
        *,
        device: str | None = None,
        precision: str = "auto",
    ) -> None:
        device = choose_device(device)
        self.system = system.to(device).eval()
        self.video = None if video is None else video.to(device).for_inference(precision)

    @classmethod
    def load(
        cls,
        system: str = "atvg",
        *,
        size: str = "lite",
        weights: str | os.PathLike | Sequence[str | os.PathLike] | None = None,
        basis: Sequence[str | os.PathLike] | None = None,
        device: str | None = None,
    ) -> Self:
        """Load a system by name, with the package's weights or those of files.

        Parameters
        ----------
        system, size:
            Which.
        weights:
            One file: AT-net's, and VG-net's are the package's. Two: AT-net's and VG-net's.
        basis:
            With the two files that the authors of ATVGnet released: the ``.npy`` files of their mean face and
            of their basis, see :func:`talkface_lite.systems.atvg.released.load_released`.
        device:
            See above.

        Raises
        ------
        InputError
            When a file is missing, broken, or of another network.
        """
        files = [weights] if isinstance(weights, str | os.PathLike) else list(weights or [])
        if len(files) > 2:
            raise InputError("weights", f"{len(files)} files", "one (AT-net) or two (AT-net, VG-net)")
        released = [path for path in files if Path(path).suffix in RELEASED_SUFFIXES]
        if basis is not None:
            if len(files) != 2:
                raise InputError("weights", f"{len(files)} files", "the two that belong to the basis")
            both = load_released(*files, mean=basis[0], basis=basis[1])
            return cls(both, both, device=device)
        if released:
            raise InputError(released[0], "released weights alone", "--basis MEAN U beside them")
        landmarks = load(system, size, weights=files[0] if files else None)
        video = None
        if len(files) == 2 or shipped_video_weights(system, size).is_file():
            video = load_video(system, size, weights=files[1] if len(files) == 2 else None)
        return cls(landmarks, video, device=device)

    def film(self, portrait: Portrait, speech: np.ndarray) -> Iterator[Stretch]:
        """The film some frames at a time, in memory that does not grow with the speech.

        Parameters
        ----------
        portrait:
            Who.
        speech:
            float32 ``(n,)`` at 16 kHz.

        Raises
        ------
        InputError
            When there are no weights that make pictures.
        """
        if self.video is None:
            raise InputError("weights of VG-net", "none", "a system that makes pictures")
        landmarks, at = self._speak(speech, portrait), 0
        for made in self.video.film(portrait.crop(), portrait.landmarks, landmarks):
            n = made.frames.shape[1]
            colour, alpha = (maps[0].float().cpu().numpy() for maps in (made.colour, made.alpha))
            yield Stretch(
                landmarks[at : at + n],
                to_pictures(made.frames[0]),
                np.ascontiguousarray(colour.transpose(0, 2, 3, 1)),
                alpha[:, 0],
            )
            at += n

    def _speak(self, speech: np.ndarray, portrait: Portrait) -> np.ndarray:
        if isinstance(self.system, ReleasedATVG):
            return self.system.speak(speech, portrait.landmarks)
        return self.system.generate(speech, portrait.landmarks)

    def talk(
        self,
        photo: str | os.PathLike | np.ndarray | Portrait,
        speech: str | os.PathLike | np.ndarray,
        seed: int = 0,
        *,
        detector: str = "auto",
        convert: bool = False,
    ) -> Clip:
        """Let the face in a photograph say something.

        Parameters
        ----------
        photo:
            A file, ``"hopper"`` or ``"collins"``, uint8 RGB ``(H, W, 3)``, or a :class:`Portrait`.
        speech:
            A file, or float32 ``(n,)`` at 16 kHz.
        seed:
            Of systems that draw at random; ATVGnet does not.
        detector:
            Which face detector.
        convert:
            Accept sound files of another rate, depth or number of channels.

        Returns
        -------
        Clip
            ``ceil(n / 640)`` frames in the aligned 128×128 crop. It holds the whole film; for long speech
            take :meth:`film`.

        Raises
        ------
        InputError
            When photograph or sound cannot be used.
        """
        if not isinstance(speech, np.ndarray):
            speech = read_speech(speech, convert=convert)
        speech = pad_to_frames(speech)
        portrait = Portrait.of(photo, detector=detector)
        if self.video is None:
            landmarks = self._speak(speech, portrait)
            still = np.broadcast_to(portrait.crop(), (len(landmarks), CROP_SIZE, CROP_SIZE, 3))
            frames = draw_landmarks(landmarks, image=still)
        else:
            stretches = [(made.landmarks, made.frames) for made in self.film(portrait, speech)]
            landmarks, frames = (np.concatenate(parts) for parts in zip(*stretches))
        return Clip(
            frames=frames,
            landmarks=landmarks,
            speech=speech,
            identity=portrait.name,
            source=f"talkface_lite {self.system.name}",
        )
