"""The library's log, `logging.getLogger("videohub")`: whoever listens to it gets nothing that steers a terminal."""

from __future__ import annotations

import logging

from videohub import escaping


class _Visible(logging.Filter):
    """Escapes what is said before any handler has it, ours or an application's."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = escaping.message(record.getMessage()), None
        return True


def silence_last_resort(name: str) -> None:
    """Leave what another library logs to whoever listens; Python prints it where nobody does."""
    logging.getLogger(name).addHandler(logging.NullHandler())


def warn_once(message: str, *arguments: object) -> None:
    """Warn, unless this process has said the same words before."""
    words = message % arguments
    if words not in _told:
        _told.add(words)
        log.warning("%s", words)


_told: set[str] = set()
log = logging.getLogger("videohub")
log.addFilter(_Visible())
