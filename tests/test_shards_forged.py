"""Shards that somebody else made, by accident or on purpose: read if right, else refused in one line."""

import hashlib
import json
import os
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_samples import SAMPLES, members_of, refused, rewrite, saved

from talkface_lite.shards import LIMITS, read_shard


def link(kind):
    def edit(members):
        member = tarfile.TarInfo("one.speech.npy")
        member.type, member.linkname = kind, "/etc/passwd"
        return [(member, b"") if old.name == "one.speech.npy" else (old, content) for old, content in members]

    return edit


def renamed(old, new):
    def edit(members):
        for member, _ in members:
            member.name = new if member.name == old else member.name
        return members

    return edit


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda m: m[1:], "clip one: got no json"),
        (lambda m: m[:2] + m[3:], "clip one: got no speech.npy"),
        (lambda m: m[:-1], "clip three: got other arrays than its record names"),
        (lambda m: [*m[:3], m[2], *m[3:]], "clip one: got speech.npy twice"),
        (lambda m: [*m[:2], *m[3:], m[2]], "clip one: got no speech.npy"),
        (lambda m: [*m, m[2]], "clip one: got speech.npy outside its group"),
        (lambda m: [], "0 clips"),
        (link(tarfile.SYMTYPE), "a symbolic link named 'one.speech.npy'"),
        (link(tarfile.LNKTYPE), "a hard link named 'one.speech.npy'"),
        (link(tarfile.DIRTYPE), "a folder named 'one.speech.npy"),
        (link(tarfile.FIFOTYPE), "a member of another kind"),
        (link(tarfile.CHRTYPE), "a member of another kind"),
        (renamed("one.json", "../one.json"), "a member named '../one.json'"),
        (renamed("one.json", "/etc/one.json"), "a member named '/etc/one.json'"),
        (renamed("one.json", "..json"), "a member named '..json'"),
        (renamed("one.json", "one.json\0x"), r"a member named 'one.json\x00x'"),
        (renamed("one.json", "a\x1b[2J.json"), r"a member named 'a\x1b[2J.json'"),
        (renamed("one.json", "one.txt"), "a member named 'one.txt'"),
        (renamed("one.json", "a/" * 60 + "one.json"), "a member named"),
        (renamed("one.json", "a" * 98 + "/one.json"), "a member named"),
    ],
)
def test_odd_members_are_refused(shard, edit, says):
    rewrite(shard, edit(members_of(shard)))
    assert says in refused(shard)


def test_another_packing_of_the_same_members_is_read(shard):
    members = members_of(shard)
    for member, _ in members:
        member.mtime, member.uid, member.uname, member.mode = 1_700_000_000, 1000, "someone", 0o600
    for tar_format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT):
        rewrite(shard, sorted(members, key=lambda m: (m[0].name.split(".")[0], m[0].name)), tar_format)
        assert {key for key, _ in read_shard(shard)} == {key for key, _ in SAMPLES}
    members[0][0].mtime = 0.5  # makes tarfile write an extended header
    rewrite(shard, members, tarfile.PAX_FORMAT)
    assert "extended header" in refused(shard)


def test_sizes_beyond_reason_are_refused_before_they_are_read(shard):
    content = shard.read_bytes()
    for size in (0o77777777777, LIMITS["json"] + 1, LIMITS["json"]):
        member = tarfile.TarInfo("one.json")
        member.size = size
        shard.write_bytes(member.tobuf(tarfile.USTAR_FORMAT) + content[512:])
        line = refused(shard)
        what = "json larger than sane" if size > LIMITS["json"] else "the end of the file"
        assert line.startswith(f"{shard}, clip one: got {what}")
    for size in (-512, -(2**60), 2**60):  # more than octal digits can say: base 256
        member.size = size
        shard.write_bytes(member.tobuf(tarfile.GNU_FORMAT) + content[512:])
        assert "larger than sane" in refused(shard)
    for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_SPARSE):
        member.type = kind
        shard.write_bytes(member.tobuf(tarfile.GNU_FORMAT) + content[512:])
        assert "named 'one.json', expected plain files" in refused(shard)


def sealed(members, key, name, content, **about):
    """Put another array in, with a record whose checksums all fit: a forger's shard."""
    record = json.loads({m.name: c for m, c in members}[f"{key}.json"])
    del record["sha256"]
    record["arrays"][name] |= {"sha256": hashlib.sha256(content).hexdigest(), **about}
    record["sha256"] = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    new = {f"{key}.json": json.dumps(record, sort_keys=True).encode(), f"{key}.{name}": content}
    return [(member, new.get(member.name, old)) for member, old in members]


class Bomb:
    def __reduce__(self):
        return os.system, ("exit 1",)


def huge_header():
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 68, 2), }" + b" " * 2**20 + b"\n"
    return b"\x93NUMPY\x02\x00" + len(text).to_bytes(4, "little") + text + bytes(544)


SHORT = saved(np.zeros((1, 68, 2), np.float32))


@pytest.mark.parametrize(
    ("content", "about"),
    [
        (saved(np.array([Bomb()], object), allow_pickle=True), {}),
        (saved(np.array([Bomb()], object), allow_pickle=True), {"dtype": "|O", "shape": [1]}),
        (huge_header(), {}),
        (saved(np.zeros((1, 68, 2))), {}),
        (saved(np.zeros((1, 68, 2))), {"dtype": "<f8"}),
        (saved(np.asfortranarray(np.zeros((1, 68, 2), np.float32))), {}),
        (saved(np.zeros((1, 67, 2), np.float32)), {"shape": [1, 67, 2]}),
        (saved(np.zeros((2, 68, 2), np.float32)), {"shape": [2, 68, 2]}),
        (saved(np.full((1, 68, 2), np.nan, np.float32)), {}),
        (saved(np.zeros((1, 68, 2), np.float32)), {"shape": [2**31 - 1, 2**31 - 1, 2**31 - 1]}),
        (saved(np.zeros((1, 68, 2), np.float32)), {"shape": [1] * 100}),
        (saved(np.zeros((1, 68, 2), np.float32)), {"shape": None}),
        (saved(np.zeros((1, 68, 2), np.float32)), {"shape": [-1, -68, 2]}),
        (
            SHORT.replace(b"(1, 68, 2), }" + b" " * 9, b"(2000000000, 68, 2), }"),
            {"shape": [2 * 10**9, 68, 2]},
        ),
        (b"", {}),
    ],
)
def test_forged_arrays_are_refused(shard, content, about):
    rewrite(shard, sealed(members_of(shard), "one", "landmarks.npy", content, **about))
    assert "clip one, " in refused(shard)


FORGED = [
    *(
        {"words": words}
        for words in (3, "abc", [["a", "x", 1]], [["a", 10**400, 1]], [["a", float("nan"), 1]])
    ),
    *({"arrays": arrays} for arrays in ([], {}, None)),
    *({name: value} for name, value in (("identity", 7), ("key", "other"), ("format", "2"))),
]


@pytest.mark.parametrize("change", FORGED)
def test_forged_records_are_refused(shard, change):
    members = members_of(shard)
    record = json.loads(members[0][1]) | change
    del record["sha256"]
    record["sha256"] = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    rewrite(shard, [(members[0][0], json.dumps(record, sort_keys=True).encode()), *members[1:]])
    assert "clip one" in refused(shard)


def test_a_record_written_in_another_way_is_refused(shard):
    members = members_of(shard)
    rewrite(shard, [(members[0][0], members[0][1].replace(b", ", b",\t", 1)), *members[1:]])
    assert "clip one, json" in refused(shard)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"{}", b"[]", b"\xff", b"", b"1" * 5000])
def test_records_that_are_none_are_refused(shard, content):
    members = members_of(shard)
    rewrite(shard, [(members[0][0], content), *members[1:]])
    assert "clip one" in refused(shard)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2000))
def test_arbitrary_bytes_are_refused_clearly(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "arbitrary.tar"
    path.write_bytes(content)
    refused(path)
