"""The first half of ATVGnet (Chen et al., CVPR 2019): AT-net, speech to landmarks."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor

from talkface_lite.clip import N_POINTS, SAMPLES_PER_FRAME
from talkface_lite.data.needs import Batch, DataSettings
from talkface_lite.errors import InputError
from talkface_lite.landmarks import JAW_FOLLOWS, Array, lip_opening, mouth_centred, normalise
from talkface_lite.losses import masked_mse
from talkface_lite.networks.at_net import ATNet, ATNetConfig, State
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.speech import mfcc_stretches
from talkface_lite.systems.adapting import Adapting
from talkface_lite.systems.config import from_json, not_negative, one_of
from talkface_lite.systems.part import Part, Workload
from talkface_lite.systems.settling import SILENCE_FRAMES, after_silence, settled
from talkface_lite.systems.training_settings import TrainingSettings

Loss = Literal["paper", "whitened", "mouth"]

CHUNK_FRAMES = 250
"""Frames that the audio network sees at once when it generates, 10 s: bounded memory for any speech."""


@dataclass(frozen=True, kw_only=True)
class ATNetPartConfig:
    """Settings of the first half.

    Parameters
    ----------
    at_net:
        Widths of AT-net.
    loss:
        ``"paper"``: mean squared error of the PCA coefficients. The others are ours: ``"whitened"`` divides
        each coefficient's error by its standard deviation in the shape basis, so that the small ones count as
        much as the large; ``"mouth"`` adds to the paper's the squared distance of the 20 mouth points, each
        mouth centred, that the coefficients decode to.
    mouth_weight:
        Weight of the added term of ``"mouth"``.
    centred:
        Ours: coefficients say how far a face is from the example with its lips together
        (:func:`lips_together`), and not from the mean face. The basis describes how faces move. What is a
        person's own, cast into it, passes for a movement: a long face for an open mouth. AT-net then says how
        far to move from the example, and in silence it has nothing to say.
    """

    at_net: ATNetConfig = field(default_factory=ATNetConfig)
    loss: Loss = "paper"
    mouth_weight: float = 20.0
    centred: bool = False

    def __post_init__(self) -> None:
        one_of(self, "loss", Loss)
        not_negative(self, "mouth_weight")


class ATNetPart(Part):
    """AT-net and the shape basis that its coefficients belong to.

    Parameters
    ----------
    config:
        Widths and loss.
    shape_pca:
        The basis that landmarks are encoded in; None takes the package's. It is saved with the weights, which
        mean nothing in another basis.
    """

    system: ClassVar[str] = "atvg"
    name: ClassVar[str] = "at-net"
    formerly: ClassVar[str] = "atvg"
    config_class: ClassVar[type] = ATNetPartConfig
    network_names: ClassVar[tuple[str, ...]] = ("at_net",)
    figure: ClassVar[str] = "mouth"
    adapting: ClassVar[Adapting] = Adapting(
        training=TrainingSettings(
            steps=400, batch_size=8, learning_rate=1e-3, betas=(0.9, 0.999), schedule="cosine"
        ),
        data=DataSettings(window=32, mfcc_shift=0.3, closed_examples=0.5),
        config={"loss": "mouth"},
    )
    """Tried on ten sentences of one speaker of GRID: rates of 3e-4 and 2e-3, batches of 32, the mouth at rest
    as the only example, and drawn clips mixed in were no better on forty others of his; more updates were."""

    def __init__(self, config: ATNetPartConfig, shape_pca: ShapePCA | None = None) -> None:
        super().__init__(config)
        self.at_net = ATNet(config.at_net)
        self.to(memory_format=torch.channels_last)
        basis = shape_pca or ShapePCA.pretrained()
        if len(basis.components) != config.at_net.components:
            raise InputError(
                "shape_pca",
                f"{len(basis.components)} components",
                f"{config.at_net.components}, as AT-net has",
            )
        for field_name in ("mean", "components", "variance", "total_variance"):
            value = torch.tensor(np.array(getattr(basis, field_name), np.float32))
            self.register_buffer(f"shape_{field_name}", value)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        config = from_json(ATNetPartConfig, config)
        k = config.at_net.components
        empty = ShapePCA(
            mean=np.zeros(136), components=np.zeros((k, 136)), variance=np.ones(k), total_variance=1.0
        )
        return cls(config, empty)

    @property
    def shape_pca(self) -> ShapePCA:
        """The shape basis that travels with the weights."""
        values = {
            name: getattr(self, f"shape_{name}").cpu().numpy() for name in ("mean", "components", "variance")
        }
        return ShapePCA(**values, total_variance=float(self.shape_total_variance))

    def prepare(self, statistics: Mapping[str, np.ndarray]) -> None:
        """Standardise MFCC by the training set's ``mfcc_mean`` and ``mfcc_std``, each ``(12,)``."""
        self.at_net.standardise(*(torch.as_tensor(statistics[name]) for name in ("mfcc_mean", "mfcc_std")))

    def start_from(self, path: str | os.PathLike) -> None:
        """As for every part; the shape basis comes along, since coefficients mean nothing in another."""
        super().start_from(path)
        _, tensors = self.packed_in(path)
        self.load_state_dict({k: v for k, v in tensors.items() if k.startswith("shape_")}, strict=False)

    def encode(self, landmarks: Tensor, example: Tensor | None = None) -> Tensor:
        """Landmarks → PCA coefficients, on the weights' device.

        Parameters
        ----------
        landmarks:
            ``(..., 68, 2)``, pixels.
        example:
            ``(..., 68, 2)``: the face that they are of, needed where the configuration says
            ``centred``.

        Returns
        -------
        ``(..., K)``

        Raises
        ------
        InputError
            When an example is needed and there is none.
        """
        centre = self.shape_mean
        if self.config.centred:
            if example is None:
                raise InputError("example", "none", "the face that the landmarks are of")
            centre = normalise(lips_together(example)).flatten(-2)  # (..., 68, 2) → (..., 136)
        shapes = normalise(landmarks).flatten(-2)  # (..., 68, 2) → (..., 136)
        return (shapes - centre) @ self.shape_components.T  # (..., 136) → (..., K)

    def example_coefficients(self, landmarks: np.ndarray) -> np.ndarray:
        """``h_p``: the coefficients ``(K,)`` of an example face ``(68, 2)``, pixels."""
        face = torch.as_tensor(np.asarray(landmarks, np.float32), device=self.shape_mean.device)
        return self.encode(face, face).cpu().numpy()

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The paper's MSE of the coefficients, or ours (see :class:`ATNetPartConfig`).

        Targets are raw coefficients; the boost ω has no part in training, as in the released code.
        """
        example = batch.example  # (B, 68, 2)
        h, _ = self.listen(batch.mfcc, self.encode(example, example))  # (B, T, 28, 12), (B, K) → (B, T, K)
        target = self.encode(batch.landmarks, example[:, None])  # (B, T, 68, 2) → (B, T, K)
        mse = masked_mse(h, target, batch.mask)
        mouth = masked_mse(self._mouth(h), self._mouth(target), batch.mask)
        if self.config.loss == "whitened":
            loss = masked_mse(h, target, batch.mask, weight=1 / self.shape_variance)
        elif self.config.loss == "mouth":
            loss = mse + self.config.mouth_weight * mouth
        else:
            loss = mse
        return {"loss": loss, "mse": mse.detach(), "mouth": mouth.detach()}

    def listen(self, mfcc: Tensor, h_p: Tensor, state: State | None = None) -> tuple[Tensor, State | None]:
        """AT-net; where coefficients are centred, it says how far to move from the example.

        ``(B, T, 28, 12)``, ``(B, K)`` → ``(B, T, K)`` and the state after the last frame.
        """
        h, state = self.at_net(mfcc, h_p, state)
        return (h + h_p[:, None] if self.config.centred else h), state

    def _mouth(self, h: Tensor) -> Tensor:
        """Coefficients ``(..., K)`` → the mouth they decode to, centred, in network units ``(..., 40)``."""
        shapes = (h @ self.shape_components).unflatten(-1, (-1, 2))  # (..., K) → (..., 68, 2)
        return mouth_centred(shapes).flatten(-2)  # (..., 68, 2) → (..., 40)

    @classmethod
    def workload(cls, wanted: Workload.Wanted) -> Workload | None:
        """One clip of 3 s, MFCC given; to train, its own step."""
        if wanted.training:
            return super().workload(wanted)
        from talkface_lite.systems.atvg import timing

        return timing.speaking(wanted)

    @torch.inference_mode()
    def coefficients(
        self,
        speech: np.ndarray,
        h_p: np.ndarray,
        *,
        first_frame: int = 0,
        silence: int = 0,
        chunk_frames: int | None = CHUNK_FRAMES,
    ) -> np.ndarray:
        """Speech of any length and one face's coefficients → coefficients over time.

        Parameters
        ----------
        speech:
            float32 ``(n,)`` at 16 kHz; a last part of a frame is filled up with silence.
        h_p:
            ``(K,)``.
        first_frame:
            Where the memory starts from zeros; what was said before is in the windows only.
        silence:
            Frames of silence that are heard before, so that the memory has settled; nothing is given for
            them.
        chunk_frames:
            Frames computed at once; the LSTM's state is carried from chunk to chunk, so the result does not
            depend on it. None takes all at once.

        Returns
        -------
        float32 ``(ceil(n / 640) - first_frame, K)``.
        """
        speech = after_silence(speech, silence)
        device = self.shape_mean.device
        face = torch.as_tensor(h_p, dtype=torch.float32, device=device)[None]
        state, parts = None, []
        with self.evaluating():
            for windows in mfcc_stretches(speech, chunk_frames, first=first_frame):
                h, state = self.listen(torch.from_numpy(windows).to(device)[None], face, state)
                parts.append(h[0].cpu().numpy())
        return np.concatenate(parts)[silence:]

    def generate(
        self,
        speech: np.ndarray,
        landmarks: np.ndarray,
        *,
        keep_identity: bool = True,
        anchored: bool = True,
        boost: Sequence[float] | None = None,
        chunk_frames: int | None = CHUNK_FRAMES,
    ) -> np.ndarray:
        """Let one face say something (Eqs. 3 and 4).

        Parameters
        ----------
        speech:
            float32 ``(n,)`` at 16 kHz.
        landmarks:
            ``(68, 2)``: the example face, in pixels of the aligned crop.
        keep_identity:
            Ours: six components cannot hold a whole face, so add what the example face has outside of them,
            ``p_p - decode(encode(p_p))``, to every frame. False is the paper's Eq. 4 alone: a face out of the
            basis.
        anchored:
            Ours, with ``keep_identity``: silence gives the photograph, mouth shut or open, and speech moves
            it from there. What AT-net says in silence is taken as its zero, ``p_p + decode(h_t) -
            decode(h_silence)``; its memory has heard a second of silence before the first frame; and of
            movements too small to be one almost nothing is left, see
            :func:`~talkface_lite.systems.settling.settled`.
        boost:
            ω of Eq. 4; None is ω = 1.
        chunk_frames:
            See :meth:`coefficients`.

        Returns
        -------
        float32 ``(ceil(n / 640), 68, 2)`` pixels of the aligned crop.
        """
        landmarks, basis = np.asarray(landmarks, np.float32), self.shape_pca
        h_p = self.example_coefficients(landmarks)
        anchored = keep_identity and anchored
        h = self.coefficients(
            speech, h_p, silence=SILENCE_FRAMES if anchored else 0, chunk_frames=chunk_frames
        )
        faces = basis.decode(h, boost)
        if anchored:
            faces = landmarks + settled(faces - basis.decode(self._in_silence(h_p), boost))
        elif keep_identity:
            faces = faces + (landmarks - basis.decode(h_p))  # whatever the coefficients are centred on
        return faces.astype(np.float32)

    def _in_silence(self, h_p: np.ndarray) -> np.ndarray:
        """What AT-net says once its memory has settled in silence: ``(K,)`` → ``(K,)``."""
        silence = np.zeros(SAMPLES_PER_FRAME, np.float32)
        return self.coefficients(silence, h_p, silence=2 * SILENCE_FRAMES)[-1]


def lips_together(landmarks: Array) -> Array:
    """The same faces ``(..., 68, 2)`` with lips together: what hangs on the jaw
    (:data:`~talkface_lite.landmarks.JAW_FOLLOWS`) is raised. Any units."""
    share = np.zeros((N_POINTS, 2), np.float32)
    for point, follows in JAW_FOLLOWS.items():
        share[point, 1] = follows
    if isinstance(landmarks, Tensor):
        share = torch.as_tensor(share, device=landmarks.device, dtype=landmarks.dtype)
    return landmarks - lip_opening(landmarks)[..., None, None] * share
