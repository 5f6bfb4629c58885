"""Files that appear whole or not at all."""

import pytest

from videohub.files import atomic_write, remove_stale_temps, temp_path_beside


@pytest.mark.parametrize("letters", [1, 200, 201, 255])
def test_a_name_may_be_as_long_as_the_disk_takes_it(tmp_path, letters):
    path = tmp_path / ("n" * letters)
    with atomic_write(path) as part:
        part.write_bytes(b"whole")
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_bytes() == b"whole"


@pytest.mark.parametrize("letters", [1, 201])
def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path, letters):
    path, other = tmp_path / ("n" * letters), tmp_path / ("n" * (letters + 1))
    with temp_path_beside(path) as left, temp_path_beside(other) as kept:
        remove_stale_temps(path)
        assert (left.exists(), kept.exists()) == (False, True)


def test_what_cannot_be_written_is_named_as_its_user_knows_it(tmp_path):
    path = tmp_path / ("n" * 256)
    with pytest.raises(OSError, match="nnn") as error, atomic_write(path):
        pass
    assert error.value.filename == str(path)
    assert not [*tmp_path.iterdir()]
