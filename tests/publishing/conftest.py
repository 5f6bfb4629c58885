"""What the tests of publishing share: a hub that is none."""

from __future__ import annotations

import huggingface_hub
import pytest

from tests.publishing import hub_server


@pytest.fixture
def hub(monkeypatch):
    if huggingface_hub.__version__ < "1":
        pytest.skip("the stand-in for the hub knows what the library asks for from version 1 on")
    with hub_server.running() as hub:
        hub_server.use(hub, monkeypatch)
        yield hub
