from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.written import written

from otel_kpi.exposition import processes
from otel_kpi.exposition.exponential import Exponential
from otel_kpi.exposition.families import Distribution, Family, added
from otel_kpi.exposition.folder import Folder
from otel_kpi.exposition.snapshot import LARGEST, Snapshot, decode, encode
from otel_kpi.exposition.totals import Identity, Member, add_up

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from otel_kpi.exposition.families import Families, Value

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes meet on POSIX only")


def families(count: float, gauge: float = 0.0) -> Families:
    return {
        "c_total": Family("c_total", "counter", series={'a="b"': count}),
        "h": Family("h", "histogram", series={"": Distribution((0.1, 1.0), (1, 2, 3), 4.5)}),
        "e": Family("e", "histogram", series={"": Exponential(1, 1, ((-3, 2), (5, 1)), ((0, 1),), 2.5)}),
        "u": Family("u", "updowncounter", series={"": count}),
        "g": Family("g", "gauge", series={"": gauge}),
    }


def member(instance: str, count: float, version: str = "1") -> Member:
    return Member(
        Identity(instance, f'app="shop",version="{version}"', f'host="{instance}"'),
        families(count),
        time.time(),
    )


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two processes that live until they are killed."""
    made = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) for _ in range(2)]
    yield made
    for each in made:
        each.kill()
        each.wait()


def key_of(child: subprocess.Popen[bytes]) -> str:
    found = processes.process(child.pid)
    assert found is not None
    return found.key


def end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def folder_for(private: Path, key: str) -> Folder:
    root = processes.root()
    assert root is not None
    return Folder(private, "shop", "host", root.key, key)


def own_key() -> str:
    own = processes.process(os.getpid())
    assert own is not None
    return own.key


def counted(folder: Folder, own: float = 0.0) -> Any:
    totals = add_up([member("own", own), *folder.others()])
    return sum(
        value for value in totals.families["c_total"].series.values() if isinstance(value, int | float)
    )


def names(folder: Folder) -> list[str]:
    return [each.name for each in folder.path.iterdir()]


# --- snapshots


def test_a_snapshot_says_what_was_written() -> None:
    whole = Snapshot((member("a", math.inf), member("b", 2)), frozenset({"1-2"}))
    assert decode(encode(whole)) == whole
    read = decode(encode(Snapshot((Member(Identity("", "", ""), families(math.nan), 1.0),))))
    value = read.parts[0].families["c_total"].series['a="b"']
    assert isinstance(value, float)
    assert math.isnan(value)


GOOD = json.loads(encode(Snapshot((member("a", 1),))))


def changed(path: list[Any], value: Any) -> bytes:
    document = json.loads(json.dumps(GOOD))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        encode(Snapshot((member("a", 1),)))[:-20],
        changed(["format"], "otel-kpi exposition 0"),
        changed(["parts"], 7),
        changed(["parts", 0, "labels"], 'app="x"} 1\nevil 2'),
        changed(["parts", 0, "instance"], None),
        changed(["parts", 0, "families", 0, 0], "bad name"),
        changed(["parts", 0, "families", 0, 1], "summary"),
        changed(["parts", 0, "families", 0, 4], {'a="b': 1}),
        changed(["parts", 0, "families", 0, 4], {'a="b"': True}),
        changed(["parts", 0, "families", 0, 4], {'a="b"': "1"}),
        changed(["parts", 0, "families", 1, 4], {"": [0, 1, [1, 2]]}),
        changed(["parts", 0, "families", 1, 4], {"": [9, 1, [1, 2, 3]]}),
        changed(["parts", 0, "families", 1, 4], {"": [0, 1, [1, 2, -3]]}),
        changed(["parts", 0, "families", 1, 4], {"": [0, 1, [1, 2, 0.5]]}),
        changed(["parts", 0, "families", 2, 4], {"": {"scale": 1}}),
        changed(["bounds"], [["a", "b"]]),
    ],
)
def test_what_is_no_snapshot_is_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        decode(body)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        decode(body)


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=20)
)
def test_no_document_raises_anything_else(part: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        decode(changed(["parts", 0, "families"], part or 1))


# --- values


def test_histograms_over_different_bounds_keep_those_that_both_have() -> None:
    one = Distribution((0.1, 0.5, 1.0), (1, 2, 3, 4), 10.0)
    other = Distribution((0.1, 1.0, 5.0), (10, 20, 30, 40), 100)
    assert added(one, other) == Distribution((0.1, 1.0), (11, 25, 74), 110.0)


def test_exponential_histograms_are_added_at_the_coarser_scale() -> None:
    fine = Exponential(2, 1, ((0, 1), (1, 1), (4, 2)), (), 9.0)
    coarse = Exponential(1, 2, ((0, 5), (3, 1)), ((-1, 1),), 3.0)
    both = fine.plus(coarse)
    assert both == coarse.plus(fine)
    assert both == Exponential(1, 3, ((0, 7), (2, 2), (3, 1)), ((-1, 1),), 12.0)
    assert both.count() == fine.count() + coarse.count()
    wide = Exponential(0, 0, tuple((index, 1) for index in range(600)), (), 1.0)
    other = Exponential(0, 0, tuple((index, 1) for index in range(-600, 0)), (), 1.0)
    assert len(wide.plus(other).positive) <= 640
    assert wide.plus(other).count() == 1200


@given(
    st.lists(st.integers(0, 5), min_size=4, max_size=4), st.lists(st.integers(0, 5), min_size=4, max_size=4)
)
def test_no_count_is_lost_when_bounds_differ(one: list[int], other: list[int]) -> None:
    first: Value = Distribution((1.0, 2.0, 3.0), tuple(one), 0)
    second: Value = Distribution((1.5, 2.0, 9.0), tuple(other), 0)
    both = added(first, second)
    assert isinstance(both, Distribution)
    assert both.count() == sum(one) + sum(other)


# --- processes


def test_a_process_is_known_by_number_and_start(children: list[subprocess.Popen[bytes]]) -> None:
    key = key_of(children[0])
    pid, _, start = key.partition("-")
    assert processes.lives(key)
    assert not processes.lives(f"{pid}-{int(start) + 1}")  # the number was given to somebody else
    children[0].kill()
    deadline = time.monotonic() + 10
    while processes.lives(key):  # a zombie, until somebody waits for it
        assert time.monotonic() < deadline
    children[0].wait()
    assert not processes.lives(key)


def test_those_that_were_started_as_one_have_one_root_and_others_do_not() -> None:
    script = (
        "from otel_kpi.exposition import processes; root = processes.root(); print(root.key if root else '')"
    )
    own = processes.root()
    assert own is not None
    command = [sys.executable, "-c", script]
    together = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    apart = subprocess.run(
        command, capture_output=True, text=True, check=True, start_new_session=True
    ).stdout.strip()
    in_a_shell = subprocess.run(
        ["/bin/sh", "-c", f'"{sys.executable}" -c "{script}"; true'],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert together == own.key
    assert apart not in {own.key, ""}
    assert in_a_shell not in {own.key, apart, ""}


# --- the folder


def test_what_others_left_is_added_up_and_what_the_dead_held_stays(
    tmp_path: Path, children: list[subprocess.Popen[bytes]]
) -> None:
    first, second = (folder_for(tmp_path, key_of(child)) for child in children)
    mine = folder_for(tmp_path, own_key())
    mine.write(member("own", 0))
    first.write(member("a", 10))
    second.write(member("b", 5))
    assert counted(mine) == 15
    first.write(member("a", 20))
    assert counted(mine) == 25

    end(children[0])
    for _ in range(2):
        assert counted(mine) == 25
        totals = add_up([member("own", 0), *mine.others()])
        assert totals.families["u"].series == {'app="shop",version="1"': 5}
        assert len(totals.families["g"].series) == 2
        assert totals.processes == 2
        assert totals.families["h"].series['app="shop",version="1"'] == Distribution(
            (0.1, 1.0), (3, 6, 9), 13.5
        )
        # The second time around the ended one is folded.
        mine.fold()
        second.fold()
    assert sorted(names(mine)) == sorted(
        ["ended.json", "fold.lock", f"{key_of(children[1])}.json", f"{own_key()}.json"]
    )
    end(children[1])
    mine.fold()
    assert counted(mine) == 25


def test_an_ended_process_is_folded_once_though_two_see_it_and_one_is_cut_off(
    tmp_path: Path, children: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, dead = folder_for(tmp_path, own_key()), folder_for(tmp_path, key_of(children[0]))
    dead.write(member("a", 10))
    end(children[0])

    # Killed after the sum was written and before the file was removed.
    def cut_off(*_: object) -> None:
        pass

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "_remove", cut_off)
        mine.fold()
    assert f"{dead.own}.json" in names(mine)
    assert counted(mine) == 10

    others = [folder_for(tmp_path, own_key()) for _ in range(8)]
    threads = [threading.Thread(target=each.fold) for each in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert f"{dead.own}.json" not in names(mine)
    assert all(counted(each) == 10 for each in others)
    mine.fold()
    assert counted(mine) == 10


@contextlib.contextmanager
def no_more_files(spare: int) -> Generator[None]:
    """This process may open `spare` more files, and has that many free below the limit."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(spare + 1)]
    limit = max(held) + 1
    # Numbers below the limit that are free would be taken first.
    while (number := os.open(os.devnull, os.O_RDONLY)) < limit:
        held.insert(0, number)
    os.close(number)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    for _ in range(spare):
        os.close(held.pop())
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in held:
            os.close(each)


def test_what_the_dead_counted_outlives_a_moment_without_file_descriptors(
    tmp_path: Path, children: list[subprocess.Popen[bytes]]
) -> None:
    first, second = (folder_for(tmp_path, key_of(child)) for child in children)
    first.write(member("a", 10))
    second.write(member("b", 20))
    end(children[0])
    folder_for(tmp_path, own_key()).fold()
    end(children[1])
    mine = folder_for(tmp_path, own_key())
    with no_more_files(0):
        counted(mine)
    for spare in range(1, 5):
        with no_more_files(spare), contextlib.suppress(OSError):
            mine.fold()
    assert counted(mine) == 30
    mine.fold()
    assert counted(mine) == counted(folder_for(tmp_path, own_key())) == 30


def test_who_reads_while_others_fold_never_sees_less_or_more(tmp_path: Path) -> None:
    mine, folding = (folder_for(tmp_path, own_key()) for _ in range(2))
    mine.write(member("own", 0))
    stop = threading.Event()
    seen: set[float] = set()
    least: list[float] = [0.0]

    def read() -> None:
        while not stop.is_set():
            before = least[0]
            found = counted(mine)
            seen.add(found)
            assert before <= found
            assert found == int(found)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(60):
            # Processes of a number that nobody has: they have ended.
            folder_for(tmp_path, f"{4_000_000 + number}-1").write(member("x", 1))
            least[0] = number + 1.0
            folding.fold()
    finally:
        stop.set()
        reader.join()
    assert counted(mine) == 60
    assert seen <= set(range(61))


def test_versions_stay_apart(tmp_path: Path) -> None:
    mine = folder_for(tmp_path, own_key())
    for number, version in enumerate(("1", "2", "1")):
        folder_for(tmp_path, f"{4_000_000 + number}-1").write(member("x", 1, version))
        mine.fold()
    totals = add_up([member("own", 0), *mine.others()])
    assert totals.families["c_total"].series == {
        'a="b",app="shop",version="1"': 2,
        'a="b",app="shop",version="2"': 1,
    }


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"format": "otel-kpi exposition 1"', b"x" * 100, None], ids=written
)
def test_a_file_that_is_no_snapshot_is_one_line_and_no_more(
    tmp_path: Path,
    body: bytes | None,
    caplog: pytest.LogCaptureFixture,
    children: list[subprocess.Popen[bytes]],
) -> None:
    mine, other = folder_for(tmp_path, own_key()), folder_for(tmp_path, key_of(children[0]))
    other.write(member("a", 3))
    strange = mine.path / f"{key_of(children[1])}.json"
    if body is None:
        with strange.open("wb") as file:
            file.truncate(LARGEST + 1)
    else:
        strange.write_bytes(body)
    (mine.path / "notes.txt").write_text("mine")
    (mine.path / f"{4_000_000}-1.json").symlink_to("/etc/hostname")
    os.mkfifo(mine.path / "4000001-1.json")
    for _ in range(3):
        assert counted(mine) == 3
    named = sorted(message.split(" is not read")[0].rpartition("/")[2] for message in caplog.messages)
    assert named == sorted(["4000000-1.json", "4000001-1.json", strange.name])
    mine.fold()
    assert counted(mine) == 3
    assert {"notes.txt", strange.name} <= set(names(mine))  # who is not known to have ended keeps it


def test_folders_of_groups_that_have_ended_are_removed(
    tmp_path: Path, children: list[subprocess.Popen[bytes]]
) -> None:
    key = key_of(children[0])
    over = Folder(tmp_path, "shop", "host", key, key)
    over.write(member("a", 1))
    living = Folder(tmp_path, "shop", "host", key_of(children[1]), key_of(children[1]))
    living.write(member("b", 1))
    end(children[0])
    orphaned = Folder(tmp_path, "shop", "other", key, key_of(children[1]))
    orphaned.write(member("c", 1))
    elsewhere = tmp_path / f"exposition-00000000-{key}-{'0' * 16}"
    elsewhere.mkdir()
    (tmp_path / "somebody's").mkdir()
    assert {each.name for each in tmp_path.iterdir()} == {
        living.path.name,
        orphaned.path.name,
        elsewhere.name,
        "somebody's",
    }
