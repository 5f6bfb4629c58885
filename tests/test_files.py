"""Files that appear whole or not at all."""

import pytest

from videohub.files import atomic_write


def test_what_cannot_be_written_is_named_as_its_user_knows_it(tmp_path):
    path = tmp_path / ("long" * 62)  # a name that a disk takes, and its temporary name, which is longer, it does not
    with pytest.raises(OSError, match="longlong") as error, atomic_write(path):
        pass
    assert error.value.filename == str(path)
    assert not [*tmp_path.iterdir()]
