"""The library's log, `logging.getLogger("videohub")`: whoever listens to it gets nothing that steers a terminal."""

from __future__ import annotations

import logging

from videohub import escaping


class _Visible(logging.Filter):
    """Escapes what is said before any handler has it, ours or an application's."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = escaping.message(record.getMessage()), None
        return True


log = logging.getLogger("videohub")
log.addFilter(_Visible())
