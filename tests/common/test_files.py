from pathlib import Path

import pytest

from components.common.files import content_hash, new_file, read_json, write_atomic, write_json


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"old": True})
    with pytest.raises(TypeError):
        write_atomic(path, 5)  # type: ignore[arg-type]
    assert read_json(path) == {"old": True}
    assert list(tmp_path.iterdir()) == [path]


def test_equal_values_have_equal_hashes_whatever_their_order() -> None:
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
    assert content_hash({"a": 1}) != content_hash({"a": "1"})


def test_a_file_that_arrives_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    with new_file(path) as file:
        file.write(b"part")
        assert not path.exists()
    assert path.read_text() == "part"

    def fail() -> None:
        with new_file(path) as again:
            again.write(b"half of the next")
            raise OSError("the network is gone")

    with pytest.raises(OSError, match="gone"):
        fail()
    assert [(file.name, file.read_text()) for file in path.parent.iterdir()] == [("file", "part")]
