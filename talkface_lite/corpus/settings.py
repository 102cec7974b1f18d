"""What the clips of a corpus are like, and which side of the split a name is on, once and for all."""

import hashlib
from dataclasses import dataclass

from talkface_lite.errors import InputError

SPLITS = ("train", "test")
TEST_SHARE = 5
"""One in this many names is held out."""
N_IDENTITIES = 1_000_000
"""People are numbered below this; two clips seldom show the same one."""


@dataclass(frozen=True, kw_only=True)
class CorpusSettings:
    """What the clips of a corpus are like.

    Parameters
    ----------
    still_head:
        Hold pose, gaze and eyelids.
    text:
        What everyone says; None draws sentences of GRID's grammar.
    split:
        ``"train"`` or ``"test"``: the side of which identity, voice and sentence are all drawn; None draws
        them from both.
    paint:
        False leaves the pictures out (``clip.frames`` is None).
    view:
        ``"crop"``: the aligned face, 128x128. ``"camera"``: head and shoulders, 256x256. Landmarks are in
        pixels of the view.
    clean:
        True leaves out the noise, the room and the microphone that most clips have.
    varied:
        False draws voices near the synthesiser's own, in pink noise and rooms alone.
    person:
        Everyone is this one, 0 to 999,999, with one voice at one pace; room, microphone and throat are drawn
        for each clip as ever. None draws someone for each.
    """

    still_head: bool = False
    text: str | None = None
    split: str | None = None
    paint: bool = True
    view: str = "crop"
    clean: bool = False
    varied: bool = True
    person: int | None = None

    def __post_init__(self) -> None:
        if self.split not in (None, *SPLITS):
            raise InputError("split", repr(self.split), "'train', 'test' or None")
        if self.view not in ("crop", "camera"):
            raise InputError("view", repr(self.view), "'crop' or 'camera'")
        if self.text is not None and not self.text.strip():
            raise InputError("text", repr(self.text), "something to say")
        if self.person is not None and not 0 <= self.person < N_IDENTITIES:
            raise InputError("person", self.person, f"0 to {N_IDENTITIES - 1:,}")
        if self.person is not None and self.split not in (
            None,
            side := split_of("identity", name_of(self.person)),
        ):
            raise InputError(
                "person", f"{self.person}, of the side {side!r}", f"one of the side {self.split!r}"
            )


def split_of(kind: str, name: str) -> str:
    """``"train"`` or ``"test"``: on which side a name of a kind lies, for ever.

    Parameters
    ----------
    kind:
        ``"identity"``, ``"voice"`` or ``"sentence"``.
    name:
        Such as ``"drawn-000123"``, ``"arthur"``, ``"place blue by u two please"``.
    """
    digest = hashlib.sha256(f"{kind}:{name}".encode()).digest()
    return "test" if int.from_bytes(digest[:8], "big") % TEST_SHARE == 0 else "train"


def name_of(person: int) -> str:
    """What the drawn person of a number is called, without drawing them."""
    return f"drawn-{person:06d}"
