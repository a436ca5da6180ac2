"""Data sets in tar shards: the samples of packed ones, from files, servers and commands, whole or broken."""

import os
import pickle

import numpy as np
import pytest

from mmspec.data import PackedDataset, open_dataset, shard_blocks, streams
from mmspec.data.locations import locations
from mmspec.data.shards import ShardedDataset
from mmspec.errors import InputError
from mmspec.training.batches import ShardOrder
from tests.shards import prepared, served, write_pictures

COUNT, A_SHARD = 50, 12


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """The same pictures, packed and in 5 shards."""
    folder = tmp_path_factory.mktemp("sets")
    source = write_pictures(folder / "source", COUNT)
    return prepared(source, folder / "packed", "--captions"), prepared(
        source, folder / "shards", "--captions", "--shards", A_SHARD
    )


@pytest.fixture
def shards(sets, tmp_path):
    """Shards that may be damaged."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in sets[1].iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def everything(dataset):
    x0, labels = dataset.batch(np.arange(len(dataset)))
    return x0, labels, dataset.captions, dataset.meta.statistics


def test_samples_are_those_of_the_packed_set(sets):
    packed, sharded = map(open_dataset, sets)
    assert isinstance(packed, PackedDataset) and isinstance(sharded, ShardedDataset)
    for mine, theirs in zip(everything(packed), everything(sharded), strict=True):
        assert mine.equal(theirs) if hasattr(mine, "equal") else mine == theirs
    again = pickle.loads(pickle.dumps(sharded))
    assert again.batch([3])[0].equal(packed.batch([3])[0]) and sharded.remarks == []
    with pytest.raises(IndexError):
        sharded.batch([COUNT])


@pytest.mark.parametrize("how", ["range", "no range", "pipe"])
def test_streams_give_what_files_give_in_any_order(sets, how, monkeypatch):
    monkeypatch.setattr(shard_blocks, "BLOCK", 5)
    wanted = open_dataset(sets[1])
    with served(sets[1], ranges=how == "range") as (address, seen):
        where = f"pipe:cat {sets[1]}" if how == "pipe" else address
        streamed = open_dataset(sets[1], f"{where}/shard-00000{{0..4}}.tar")
        order = ShardOrder(streamed.parts, 8, seed=0)
        rows = [np.arange(COUNT), np.array([49, 3, 3, 17]), *map(order.indices, range(5, 9))]
        for each in rows:
            assert streamed.batch(each)[0].equal(wanted.batch(each)[0])
        if how != "pipe":
            assert any(asked for _, asked in seen)
    for stream in streamed._contents._streams.values():
        stream.close()


def test_a_stream_is_opened_once_for_blocks_that_follow(sets, monkeypatch):
    monkeypatch.setattr(shard_blocks, "BLOCK", 4)
    with served(sets[1]) as (address, seen):
        streamed = open_dataset(sets[1], f"{address}/shard-00000{{0..4}}.tar")
        for row in range(COUNT):
            streamed.batch([row])
    assert [path for path, _ in seen] == [f"/shard-00000{n}.tar" for n in range(5)]


BREAKS = {
    "cut": (lambda file: os.truncate(file, 5000), "of 5,000 bytes, expected"),
    "gone": (lambda file: file.unlink(), "is missing"),
    "pipe": (lambda file: (file.unlink(), os.mkfifo(file)), "is no file"),
}


@pytest.mark.parametrize("fault", BREAKS)
def test_a_broken_shard_is_named_passed_over_and_counted(shards, fault, capsys):
    whole = open_dataset(shards).batch(np.arange(COUNT))[0]
    BREAKS[fault][0](shards / "shard-000001.tar")
    dataset = open_dataset(shards)
    dataset.verify()
    found = dataset.batch(np.arange(COUNT))[0]
    assert (said := capsys.readouterr().err).count("\n") == 1
    assert f"{shards}/shard-000001.tar " in said and BREAKS[fault][1] in said
    kept = 2 if fault == "cut" else 0  # of the shard, those that lie before the cut
    rows = np.r_[:12, 24:COUNT]
    assert found[rows].equal(whole[rows])
    stands_in = [number for number in range(12) if not found[12 + number].equal(whole[12 + number])]
    assert stands_in == list(range(kept, 12))
    assert all(found[12 + number].equal(whole[24 + number]) for number in stands_in)
    assert dataset.remarks[0].endswith(
        f": {len(stands_in)} of its samples, counted as often as they were due, were passed over."
    )
    assert open_dataset(shards).batch(np.arange(COUNT))[0].equal(found)  # as after a restart


def test_a_flipped_byte_costs_one_sample(shards, capsys):
    whole = open_dataset(shards).batch(np.arange(COUNT))[0]
    offset = open_dataset(shards).index.place(13)[0]
    with (shards / "shard-000001.tar").open("r+b") as file:
        file.seek(offset + 100)
        byte = file.read(1)[0]
        file.seek(offset + 100)
        file.write(bytes([byte ^ 1]))
    dataset = open_dataset(shards)
    found = dataset.batch(np.arange(COUNT))[0]
    assert [n for n in range(COUNT) if not found[n].equal(whole[n])] == [13] and found[13].equal(whole[25])
    assert "holds bytes that are not those that were indexed; it is passed over" in capsys.readouterr().err
    assert "1 of its samples" in dataset.remarks[0]


def test_where_nothing_is_whole_nothing_is_trained_on(shards):
    for file in shards.glob("*.tar"):
        file.unlink()
    with pytest.raises(InputError, match=r"none is whole, and the first, .*000000\.tar is missing: fetch them again"):
        open_dataset(shards).verify()
    with pytest.raises(InputError, match=r"16 samples in a row cannot be read, the first of them in .*000001\.tar"):
        open_dataset(shards).batch([13])


def test_a_server_that_breaks_off_is_asked_for_the_rest(sets, monkeypatch):
    monkeypatch.setattr(shard_blocks, "PAUSE", 0.01)
    with served(sets[1], fault=lambda path, times: "break" if times == 1 else 503 if times == 2 else None) as server:
        streamed = open_dataset(sets[1], f"{server[0]}/shard-00000{{0..4}}.tar")
        assert streamed.batch(np.arange(12))[0].equal(open_dataset(sets[1]).batch(np.arange(12))[0])
        first, again, last = [int(asked[6:-1]) for _, asked in server[1]]
        assert first < again == last and streamed.remarks == []


FAULTS = {
    "stall": ("stall", r"sent nothing for 0\.2 s, 3 times in a row: see that it can be read, then run"),
    "unavailable": (503, r"answered 503 Service Unavailable, 3 times in a row"),
    "forbidden": (403, r"answered 403 Forbidden: see that data\.shards is right, and that it may be read from here"),
    "not there": (404, r"16 samples in a row cannot be read, .*000000\.tar is not there \(404 Not Found\)"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_gives_nothing_is_named_in_one_sentence(sets, fault, monkeypatch):
    monkeypatch.setattr(streams, "SECONDS", 0.2)
    monkeypatch.setattr(shard_blocks, "PAUSE", 0.01)
    answer, sentence = FAULTS[fault]
    with served(sets[1], fault=lambda path, times: answer) as (address, _):
        streamed = open_dataset(sets[1], f"{address}/shard-00000{{0..4}}.tar")
        with pytest.raises(
            InputError, match=rf"http://127\.0\.0\.1:\d+/shard-000000\.tar .*{sentence}|{sentence}"
        ) as said:
            streamed.batch([0])
    assert str(said.value).count("\n") == 0


COMMANDS = {
    "exit 3": r"ended with status 3, 3 times in a row",
    "sleep 9": r"sent nothing for 0\.2 s, 3 times in a row",
    "true": r"16 samples in a row cannot be read, .* ends before it should by its index",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_gives_nothing_is_named_and_ended(sets, command, monkeypatch):
    monkeypatch.setattr(streams, "SECONDS", 0.2)
    monkeypatch.setattr(shard_blocks, "PAUSE", 0.01)
    streamed = open_dataset(sets[1], f"pipe:{command} {{0..4}}" if command == "true" else f"pipe:{command} #{{0..4}}")
    with pytest.raises(InputError, match=COMMANDS[command]):
        streamed.batch([0])


def test_other_shards_than_those_of_the_index_are_refused(sets):
    for given in (f"{sets[1]}/shard-00000{{0..3}}.tar", f"{sets[1]}/other-{{0..4}}.tar", "pipe:cat {0..3}"):
        with pytest.raises(InputError, match=r"stands for \d shards, .* without \S+ of the index in .*: give all 5"):
            open_dataset(sets[1], given)


def test_shards_without_an_index_are_told_how_to_get_one(sets, tmp_path):
    (tmp_path / "shard.tar").write_bytes((sets[1] / "shard-000000.tar").read_bytes())
    for named in (tmp_path, tmp_path / "shard-{0..9}.tar", "http://127.0.0.1:1/a.tar", "pipe:cat x"):
        with pytest.raises(InputError, match=r"names tar shards without their index: .* `mmspec prepare shards "):
            open_dataset(str(named))
    with pytest.raises(InputError, match=r"holds no shards\.json, by which data\.shards=.* could be read: write one"):
        open_dataset(sets[0], str(tmp_path))
    with pytest.raises(InputError, match="holds its samples in tar shards, and here packed ones are needed"):
        PackedDataset(sets[1])


DAMAGES = {
    "truncated index": (lambda folder: os.truncate(folder / "index.npy", 200), r"index\.npy is truncated or not"),
    "no index": (lambda folder: (folder / "index.npy").unlink(), r"index\.npy is missing"),
    "cut list": (lambda folder: os.truncate(folder / "shards.json", 50), r"shards\.json is not JSON"),
    "a way out": (lambda folder: edit(folder, "shard-000000.tar", "../../secret.tar"), "which leads out of its folder"),
    "other counts": (lambda folder: edit(folder, "[12, 12", "[12, 13"), r"counts that are not those of 50 samples"),
    "uneven": (lambda folder: edit(folder, "[12, 12, ", "[24, "), "lists of other lengths"),
    "a later format": (lambda folder: edit(folder, "shards-1", "shards-9"), "the format 'mmspec-shards-9'"),
}


def edit(folder, old, new):
    file = folder / "shards.json"
    file.write_text(file.read_text().replace(old, new, 1))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_one_sentence(shards, damage):
    DAMAGES[damage][0](shards)
    with pytest.raises(InputError, match=DAMAGES[damage][1] + ".*: make the data set again"):
        open_dataset(shards)


def test_an_index_that_points_out_of_its_shards_is_one_sentence(shards):
    places = np.load(shards / "index.npy")
    places[7, 0] = 1 << 60
    np.save(shards / "index.npy", places)
    with pytest.raises(InputError, match=r"index\.npy points out of a shard for sample 7: make the data set again"):
        open_dataset(shards).batch([7])


def test_braces_stand_for_numbers_and_choices(tmp_path):
    assert locations("a-{08..11}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]
    assert locations("http://{a,b}/{0..1}.tar?k={v}") == [f"http://{x}/{n}.tar?k={{v}}" for x in "ab" for n in "01"]
    for bad in ("a-{0..99999999999}.tar", "{0..9999}{0..9999}", "a-{9..3}.tar"):
        with pytest.raises(InputError, match="shards, expected 1 to 1,000,000: mend its braces"):
            locations(bad)
    with pytest.raises(InputError, match=r"holds no \.tar file"):
        locations(str(tmp_path))
