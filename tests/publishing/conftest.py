"""What the tests of publishing share: a hub that is none."""

from __future__ import annotations

import pytest

from tests.publishing import hub_server


@pytest.fixture
def hub(monkeypatch):
    with hub_server.running() as hub:
        hub_server.use(hub, monkeypatch)
        yield hub
