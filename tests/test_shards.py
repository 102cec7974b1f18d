"""Shards: what is written is read again, by other programs too, and no byte changes unnoticed."""

import hashlib
import io
import json
import os
import resource
import tarfile
import weakref
from dataclasses import replace

import numpy as np
import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_samples import SAMPLES, assert_same, make_clip, members_of, refused, rewrite, saved

from talkface_lite.clip import FRAMINGS, Clip
from talkface_lite.errors import InputError
from talkface_lite.shards import LIMITS, LONGEST_KEY, read_shard, verify_shard, write_shard


def test_a_shard_gives_back_what_was_written(shard):
    read = list(read_shard(shard))
    assert [key for key, _ in read] == [key for key, _ in SAMPLES]
    for (_, clip), (_, expected) in zip(read, SAMPLES):
        assert_same(clip, expected)
        assert clip.landmarks.flags.writeable
    for (_, clip), (_, expected) in zip(read_shard(shard, frames=False), SAMPLES):
        assert_same(clip, replace(expected, frames=None))


def test_shares_of_a_shard_make_up_the_whole(shard):
    shares = [[key for key, _ in read_shard(shard, share=(i, 2))] for i in (0, 1)]
    assert shares == [["one", "three"], ["zwei-Ж_2"]]


def test_equal_clips_give_equal_bytes_and_the_checksum_is_the_files(tmp_path):
    digests = [write_shard(tmp_path / name, iter(SAMPLES)) for name in ("x.tar", "below/y.tar")]
    content = (tmp_path / "x.tar").read_bytes()
    assert content == (tmp_path / "below/y.tar").read_bytes()
    assert digests == 2 * [hashlib.sha256(content).hexdigest()]
    verify_shard(tmp_path / "x.tar", digests[0])
    with pytest.raises(InputError, match=r"x\.tar: got SHA-256"):
        verify_shard(tmp_path / "x.tar", digests[0][:-1] + "x")
    with pytest.raises(InputError, match="no such file"):
        verify_shard(tmp_path / "z.tar", digests[0])


def test_how_clips_are_cut_is_kept(tmp_path):
    clips = {kind: replace(make_clip(2, 5, side=4), framing=kind) for kind in FRAMINGS}
    write_shard(tmp_path / "a.tar", clips.items())
    for framed in (True, False):
        for key, clip in read_shard(tmp_path / "a.tar", frames=framed):
            assert clip.framing == key
    records = {
        member.name: json.loads(content)
        for member, content in members_of(tmp_path / "a.tar")
        if member.name.endswith(".json")
    }
    assert [record.get("framing") for record in records.values()] == [None, "head", "camera"]


def test_a_shard_of_aligned_clips_has_the_bytes_it_always_had(tmp_path):
    landmarks = np.arange(2 * 136, dtype=np.float32).reshape(2, 68, 2)
    clip = Clip(frames=None, landmarks=landmarks, speech=np.zeros(1280, np.float32), identity="ida")
    # of the same clip, written before there was another framing
    assert write_shard(tmp_path / "a.tar", [("k", clip)])[:16] == "5c8a2a7f3f9d32af"


def test_a_shard_with_another_framing_is_refused(tmp_path):
    write_shard(tmp_path / "a.tar", [("k", replace(SAMPLES[0][1], framing="camera"))])
    members = members_of(tmp_path / "a.tar")
    record = json.loads(members[0][1])
    record.pop("sha256")
    record["framing"] = "side"
    record["sha256"] = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    members[0] = (members[0][0], json.dumps(record, sort_keys=True).encode())
    rewrite(tmp_path / "a.tar", members)
    assert "Clip.framing: got 'side', expected aligned or head or camera" in refused(tmp_path / "a.tar")


def test_webdataset_reads_a_shard(shard):
    samples = list(webdataset.WebDataset(str(shard), shardshuffle=False).decode())
    assert [sample["__key__"] for sample in samples] == [key for key, _ in SAMPLES]
    for sample, (_, clip) in zip(samples, SAMPLES):
        np.testing.assert_array_equal(sample["landmarks.npy"], clip.landmarks)
        np.testing.assert_array_equal(sample["speech.npy"], clip.speech)
        assert ("frames.npy" in sample) == (clip.frames is not None)
        if clip.frames is not None:
            np.testing.assert_array_equal(sample["frames.npy"], clip.frames)
        assert [tuple(word) for word in sample["json"]["words"]] == list(clip.words)
        assert sample["json"]["identity"] == clip.identity


def test_tarfile_numpy_and_json_are_enough_to_read_and_check_a_shard(shard):
    with tarfile.open(shard, "r:") as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}
        assert {(m.mtime, m.uid, m.gid, m.mode, m.uname, m.type) for m in tar} == {(0, 0, 0, 0o644, "", b"0")}
    for key, clip in SAMPLES:
        record = json.loads(members[f"{key}.json"])
        for name, about in record["arrays"].items():
            content = members[f"{key}.{name}"]
            assert hashlib.sha256(content).hexdigest() == about["sha256"]
            array = np.load(io.BytesIO(content), allow_pickle=False)
            assert (list(array.shape), array.dtype) == (about["shape"], np.dtype(about["dtype"]))
            np.testing.assert_array_equal(array, getattr(clip, name.split(".")[0]))
        stated = record.pop("sha256")
        assert hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest() == stated


def test_no_byte_changes_unnoticed(tmp_path):
    path = tmp_path / "small.tar"
    write_shard(path, [("k", make_clip(1, 0, side=2))])
    content = bytearray(path.read_bytes())
    with open(path, "r+b", buffering=0) as file:
        for at in {*range(0, len(content), 5), *range(0, 1200)}:
            for flipped in (content[at] ^ (1 << at % 8), content[at] ^ 0xFF):
                os.pwrite(file.fileno(), bytes([flipped]), at)
                refused(path)
            os.pwrite(file.fileno(), content[at : at + 1], at)
    assert_same(next(read_shard(path))[1], make_clip(1, 0, side=2))


def test_no_cut_goes_unnoticed(shard):
    content = shard.read_bytes()
    for length in [*range(0, len(content), 37), *range(0, len(content), 512)]:
        shard.write_bytes(content[:length])
        refused(shard)
    shard.write_bytes(content + bytes(10240))  # other tar programs fill up the last record
    assert len(list(read_shard(shard))) == 3
    shard.write_bytes(content + bytes(100))  # which never fill up part of a block
    refused(shard)
    shard.write_bytes(content + b"more")
    assert "behind the end" in refused(shard)


def test_pictures_that_are_not_asked_for_are_not_read(shard):
    content = bytearray(shard.read_bytes())
    at = content.find(SAMPLES[1][1].frames.tobytes())
    content[at] ^= 1
    shard.write_bytes(content)
    assert len(list(read_shard(shard, frames=False))) == 3
    line = refused(shard)
    assert "zwei-Ж_2" in line
    assert "frames.npy" in line


def test_clips_before_a_broken_place_are_given_out(shard):
    content = bytearray(shard.read_bytes())
    content[content.find(SAMPLES[2][1].speech.tobytes())] ^= 1
    shard.write_bytes(content)
    clips = read_shard(shard)
    assert [next(clips)[0], next(clips)[0]] == ["one", "zwei-Ж_2"]
    with pytest.raises(InputError, match="three"):
        next(clips)


def test_the_arrays_bytes_are_those_of_numpy_save(shard):
    contents = {member.name: content for member, content in members_of(shard)}
    for key, clip in SAMPLES[1:]:
        for name in ("landmarks", "speech", "frames"):
            assert contents[f"{key}.{name}.npy"] == saved(getattr(clip, name))


@pytest.mark.parametrize(
    "key", ["", "a.b", "a/b", "..", "a\\b", "a b", "a\nb", "\udc80", "x" * (LONGEST_KEY + 1)]
)
def test_odd_keys_are_refused_and_nothing_is_left(tmp_path, key):
    with pytest.raises(InputError, match="key"):
        write_shard(tmp_path / "a.tar", [SAMPLES[0], (key, SAMPLES[1][1])])
    assert list(tmp_path.iterdir()) == []


def test_the_longest_key_is_read_again(tmp_path):
    write_shard(tmp_path / "a.tar", [("x" * LONGEST_KEY, SAMPLES[0][1])])
    assert next(read_shard(tmp_path / "a.tar"))[0] == "x" * LONGEST_KEY


def test_other_bad_arguments(tmp_path):
    with pytest.raises(InputError, match="second clip"):
        write_shard(tmp_path / "a.tar", [SAMPLES[0], SAMPLES[0]])
    with pytest.raises(InputError, match="0 clips"):
        write_shard(tmp_path / "a.tar", [])
    with pytest.raises(InputError, match=r"\.tar"):
        write_shard(tmp_path / "a.tgz", SAMPLES)
    assert list(tmp_path.iterdir()) == []
    assert "no such file" in refused(tmp_path / "a.tar")


def test_a_failure_leaves_the_old_shard_and_no_trace(shard):
    before = shard.read_bytes()

    def failing():
        yield SAMPLES[0]
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        write_shard(shard, failing())
    assert shard.read_bytes() == before
    assert list(shard.parent.iterdir()) == [shard]


def test_a_full_disk_leaves_no_trace(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError):
            write_shard(tmp_path / "a.tar", ((f"k{i}", make_clip(4, i)) for i in range(9)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_one_clip_at_a_time_is_in_memory(tmp_path):
    alive, most = weakref.WeakValueDictionary(), []

    def noted(pair):
        alive[id(pair[1].frames)] = pair[1].frames
        most.append(len(alive))
        return pair

    write_shard(tmp_path / "a.tar", map(noted, ((f"k{i}", make_clip(2, i, side=4)) for i in range(5))))
    reader = read_shard(tmp_path / "a.tar")
    while (pair := next(reader, None)) is not None:
        noted(pair)
        pair = None
    assert most == 10 * [1]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**16), st.binary(min_size=1, max_size=9)), min_size=1, max_size=4))
def test_arbitrary_changes_never_give_other_clips(tmp_path_factory, changes):
    path = tmp_path_factory.getbasetemp() / "changed.tar"
    write_shard(path, SAMPLES)
    content = bytearray(path.read_bytes())
    for at, new in changes:
        at %= len(content) - len(new)
        content[at : at + len(new)] = new
    path.write_bytes(content)
    try:
        read = list(read_shard(path))
    except InputError:
        return
    for (key, clip), (expected_key, expected) in zip(read, SAMPLES, strict=True):
        assert key == expected_key
        assert_same(clip, expected)


def test_a_shard_is_members_in_blocks_and_two_empty_ones(tmp_path):
    path = tmp_path / "a.tar"
    write_shard(path, SAMPLES)
    blocks = sum(1 + -(-len(content) // 512) for _, content in members_of(path))
    assert path.stat().st_size == 512 * (blocks + 2)
    # one empty block fewer is a shard that was cut short
    path.write_bytes(path.read_bytes()[:-512])
    assert "the end of the file" in refused(path)


def test_what_a_member_may_weigh():
    # text 16 MiB, points 64 MiB, sound 256 MiB, pictures 2 GiB
    assert LIMITS == {
        "json": 16 << 20,
        "landmarks.npy": 64 << 20,
        "speech.npy": 256 << 20,
        "frames.npy": 2 << 30,
    }


@pytest.mark.parametrize("at", [345, 400, 499])
def test_a_name_that_goes_on_in_the_prefix_field_is_refused(shard, at):
    content = bytearray(shard.read_bytes())
    content[at] = ord("x")
    header = content[:512]
    content[148:156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 8 * ord(" "))
    shard.write_bytes(content)
    assert "a member named" in refused(shard)
