"""Every corpus that the book's weights are trained and measured on, by name: one table."""

from corpora import AnyCorpus, Corpus, Filmed, Recordings, Revoiced

S1 = {"recordings": "grid_s1", "licence": "GRID's speaker s1, CC BY 4.0"}
REAL = {
    "s1": Recordings(folder="grid_s1", held_back=True),
    "others": Recordings(folder="grid", without=("s1",)),
}
"""Who judges: sentences of one speaker that nothing learned from, and six people that nothing looked at."""

SENTENCE = "Where are we going today, and how far is it?"
PARAGRAPH = f"{SENTENCE} Nobody here has ever been to the lake. We had better ask the people who live there."

ONE = 271828
"""A drawn person; their name is a number."""
EARLY, LATE = 100031, 100101
"""Two who nod 0.23 s before what they stress, and 0.21 s after it."""
THREE = (271828, 314159, 577215)
"""Whom a network may know, as in the paper's own recordings: three people, of whom nine clips in ten are
learned from."""
CORPORA: dict[str, AnyCorpus] = {
    # AT-net
    "said": Corpus(clips=2600, seed=1000, still_head=None, common_words=True, paint=False),
    "said-by-s1": Revoiced(**S1, clips=2400, seed=9000),
    "said-test-still": Corpus(clips=150, seed=2000, split="test", still_head=True, paint=False),
    "said-test-moving": Corpus(clips=150, seed=2000, split="test", paint=False),
    # its rungs: 1200 clips of each kind of voice, real voices and real lips beside them
    "espeak": Corpus(clips=1200, seed=1000, still_head=None, paint=False, varied=False),
    "varied": Corpus(clips=1200, seed=1000, still_head=None, paint=False),
    "connected": Corpus(clips=1200, seed=1000, still_head=None, common_words=True, paint=False),
    "lips-30-s": Filmed(**S1, clips=10, times=30),
    "lips-6-min": Filmed(**S1, clips=120, times=3),
    # VG-net
    "train-a": Corpus(clips=400, seed=4000, still_head=True),
    "train-b": Corpus(clips=400, seed=4001),
    "train-c": Corpus(clips=900, seed=4002, still_head=True),
    "train-d": Corpus(clips=900, seed=4003),
    "test-still": Corpus(clips=50, seed=5000, split="test", still_head=True),
    "test-moving": Corpus(clips=50, seed=5001, split="test"),
    # lip readers: the judge learns from people of its own; and 2,400 words to read
    "lips-a": Corpus(clips=900, seed=4200, still_head=True),
    "lips-b": Corpus(clips=900, seed=4201),
    "test-lips-still": Corpus(clips=200, seed=5003, split="test", still_head=True),
    "test-lips-moving": Corpus(clips=200, seed=5004, split="test"),
    # the head's frame: landmarks, and pictures of heads that nod on stressed syllables
    "said-head": Corpus(
        clips=2600, seed=1000, still_head=None, common_words=True, paint=False, nods=True, view="head"
    ),
    "said-head-moving": Corpus(clips=2600, seed=1000, common_words=True, paint=False, nods=True, view="head"),
    "said-head-grid": Corpus(clips=2600, seed=1500, paint=False, nods=True, view="head"),
    "said-head-by-s1": Revoiced(**S1, clips=1200, seed=9000, still_head=False, view="head"),
    "said-head-test-still": Corpus(
        clips=150, seed=2000, split="test", still_head=True, paint=False, view="head"
    ),
    "said-head-test-moving": Corpus(clips=150, seed=2000, split="test", paint=False, nods=True, view="head"),
    "heads-still": Corpus(clips=400, seed=6000, still_head=True, view="head"),
    "heads-moving": Corpus(clips=800, seed=6001, nods=True, view="head"),
    # two people who nod early and late, three for a network that knows nobody else
    "nods-early": Corpus(clips=120, seed=4310, split=None, person=EARLY, nods=True, paint=False, view="head"),
    "nods-late": Corpus(clips=120, seed=4311, split=None, person=LATE, nods=True, paint=False, view="head"),
    "test-nods-early": Corpus(
        clips=30, seed=5310, split=None, person=EARLY, nods=True, paint=False, view="head"
    ),
    "test-nods-late": Corpus(
        clips=30, seed=5311, split=None, person=LATE, nods=True, paint=False, view="head"
    ),
    **{
        f"three-{person}": Corpus(
            clips=90, seed=4320 + number, split=None, person=person, nods=True, view="head"
        )
        for number, person in enumerate(THREE)
    },
    **{
        f"test-three-{person}": Corpus(
            clips=10, seed=5320 + number, split=None, person=person, nods=True, view="head", size=256
        )
        for number, person in enumerate(THREE)
    },
    "test-heads-still": Corpus(clips=50, seed=7000, split="test", still_head=True, view="head", size=256),
    "test-heads-moving": Corpus(clips=50, seed=7001, split="test", nods=True, view="head", size=256),
    # latent matching: films that say the same, and films of about 29, 75 and 250 frames
    "train-same": Corpus(clips=360, seed=4100, motions=6),
    "one-person": Corpus(clips=160, seed=4300, split=None, person=ONE),
    "test-one-person": Corpus(clips=40, seed=5005, split=None, person=ONE),
    "test-word": Corpus(clips=12, seed=5002, split="test", still_head=True, text="No."),
    "test-sentence": Corpus(clips=12, seed=5002, split="test", still_head=True, text=SENTENCE),
    "test-paragraph": Corpus(clips=12, seed=5002, split="test", still_head=True, text=PARAGRAPH),
}
