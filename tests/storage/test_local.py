"""What is specific to local folders: names, links, unfinished writes."""

from __future__ import annotations

import errno
import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import AlreadyExists, BadKey, ConfigError, ObjectChanged, ObjectMissing
from pipeline.storage import open_store
from pipeline.storage.local import escape_name, unescape_name


@pytest.fixture
def store(tmp_path, no_storage):
    return open_store(str(tmp_path), no_storage)


def keys(store) -> list[str]:
    return [result.key for result in store.list()]


@given(st.binary(max_size=12).map(lambda raw: raw.replace(b"/", b"").replace(b"\0", b"")))
def test_any_file_name_becomes_text_and_leads_back(raw):
    key = escape_name(os.fsdecode(raw))
    assert key.encode().decode() == key
    assert os.fsencode(unescape_name(key)) == raw


def test_names_that_utf8_can_spell_stay_as_they_are():
    for name in ("photo.jpg", "日本", "caf%E9", "\ufffd.jpg", "\ufffdE"):
        assert escape_name(name) == unescape_name(name) == name


def test_an_escape_that_stands_for_no_name_is_refused():
    with pytest.raises(BadKey):
        unescape_name("\ufffdC3\ufffdA9")  # together they are "é", which has a key of its own


def test_a_name_that_is_not_utf8_is_listed_and_read(tmp_path, store):
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    (tmp_path / os.fsdecode(b"caf\xe9/\xff.jpg")).write_bytes(b"1")
    assert keys(store) == ["caf\ufffdE9/\ufffdFF.jpg"]
    assert store.get("caf\ufffdE9/\ufffdFF.jpg").data == b"1"
    store.put("images/caf\ufffdE9.jpg", b"2")
    assert os.fsencode(next((tmp_path / "images").iterdir()).name) == b"caf\xe9.jpg"


def test_links_are_followed_but_not_in_circles(tmp_path, store):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.jpg").write_bytes(b"1")
    (tmp_path / "real/up").symlink_to(tmp_path)
    (tmp_path / "other").symlink_to(tmp_path / "real")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    assert keys(store) == ["dangling.jpg", "other/a.jpg", "real/a.jpg", "self"]
    with pytest.raises(ObjectMissing):
        store.get("dangling.jpg")


def test_a_very_deep_tree_is_listed(tmp_path, store):
    depth = 1500
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):  # by descriptor: the whole path is near the longest that the system takes
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("a.jpg", os.O_CREAT, dir_fd=here))
    os.close(here)
    try:
        assert keys(store) == ["d/" * depth + "a.jpg"]
    finally:  # pytest's own removal of old folders ends in a RecursionError on such a tree
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


def test_a_named_pipe_does_not_wait_for_a_writer(tmp_path, store):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert keys(store) == ["pipe.jpg"]
    with pytest.raises(ObjectMissing, match="not a regular file"):
        store.get("pipe.jpg")


def test_a_file_and_a_folder_of_one_name_cannot_both_be(store):
    store.put("images/a.jpg", b"1")
    with pytest.raises(BadKey):
        store.put("images/a.jpg/b.jpg", b"2")
    store.put("images/c/d.jpg", b"3")
    with pytest.raises(BadKey):
        store.put("images/c", b"4")
    assert keys(store) == ["images/a.jpg", "images/c/d.jpg"]


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path, store, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"1" * 100)
    real = os.fstat

    def fstat_then_write(descriptor: int) -> os.stat_result:
        status = real(descriptor)
        with path.open("ab") as file:
            file.write(b"2")
        return status

    monkeypatch.setattr(os, "fstat", fstat_then_write)
    with pytest.raises(ObjectChanged, match="while it was read"):
        store.get("a.jpg")


def test_a_failed_write_leaves_the_old_object_and_no_rest(tmp_path, store):
    store.put("a.jpg", b"old")
    with pytest.raises(TypeError):
        store.put("a.jpg", "not bytes")  # type: ignore[arg-type]
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.jpg"]
    assert store.get("a.jpg").data == b"old"


def test_a_rest_of_a_killed_write_is_no_object(tmp_path, store):
    (tmp_path / ".fiat-0123456789abcdef0123456789abcdef.tmp").write_bytes(b"half")
    (tmp_path / ".fiat.tmp").write_bytes(b"the user's own")
    assert keys(store) == [".fiat.tmp"]


def test_conditional_put_where_the_file_system_has_no_hard_links(tmp_path, store, monkeypatch):
    def no_links(*args: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", no_links)
    store.put_if_absent("a/part", b"first")
    with pytest.raises(AlreadyExists):
        store.put_if_absent("a/part", b"second")
    assert store.get("a/part").data == b"first"
    assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["part"]


def test_a_file_is_no_input_and_no_output(tmp_path, no_storage):
    file = tmp_path / "a.jpg"
    file.write_bytes(b"1")
    with pytest.raises(ConfigError, match="is a file"):
        open_store(str(file), no_storage).check_readable()
    with pytest.raises(ConfigError, match="is a file"):
        open_store(str(file), no_storage).check_writable()
    with pytest.raises(ConfigError, match="below a file"):
        open_store(str(file / "deeper/out"), no_storage).check_writable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_an_error_not_an_empty_listing(tmp_path, store):
    from pipeline.errors import AccessDenied

    (tmp_path / "locked").mkdir(mode=0)
    with pytest.raises(AccessDenied, match="locked"):
        keys(store)
