"""What the tests of features share: the tiny networks of verification's tests, beside ours."""

from tests.verification.conftest import zoo, zoo_file

__all__ = ["zoo", "zoo_file"]
