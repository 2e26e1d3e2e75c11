from pathlib import Path

import pytest

from components.common.files import content_hash, read_json, write_atomic, write_json


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
