"""When is it this installation that fails, and not a video? Told from how decoder processes start and end."""

from __future__ import annotations

from collections.abc import Sequence

from videohub.errors import DeviceError
from videohub.evaluation.processes import Death

_FAILED_STARTS = 3  # in a row
_FAULTS = 3  # exceptions that nobody caught, at as many sources, before any other was answered for


class Installation:
    """What the processes of a pool tell about what they run on."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._failed_starts = self._faults = 0
        self._answers = False

    def started(self) -> None:
        """Note that a process is ready."""
        self._failed_starts = 0

    def answered(self) -> None:
        """Note that a source was decoded, or refused in proper words."""
        self._answers = True

    def start_failed(self, how: str) -> None:
        """Note that a process never got ready. Raises: DeviceError at the third in a row."""
        self._failed_starts += 1
        if self._failed_starts >= _FAILED_STARTS:
            raise DeviceError(
                f"{_FAILED_STARTS} decoder processes in a row failed to start; the last one {how}\n"
                f"  They are started as: {' '.join(self._command)}\n"
                "  Mend this installation, or decode without them (workers=0)."
            )

    def given_up(self, death: Death) -> None:
        """Note that a source was given up. Raises: DeviceError if faults of ours are all that has come so far."""
        self._faults += death.is_fault
        if not self._answers and self._faults >= _FAULTS:
            raise DeviceError(
                f"no video could be decoded: {_FAULTS} in a row met a fault of videohub, or of a library that it uses; "
                f"the last decoder process {death.how}\n"
                "  Mend this installation, or report the fault; no video is to blame."
            )
