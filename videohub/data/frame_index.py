"""Which frames a video holds, as its packets tell before one is decoded, and decoding from a key frame on."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from typing import Any

import av

from videohub.data.containers import ending
from videohub.data.video import DecodedFrame, Video
from videohub.data.video_info import Stamps

# Decoders of codecs of which a packet makes one picture, but for what `FrameIndex` looks for. MPEG-4 and Theora have
# packets that say "as before".
_A_PICTURE_EACH = ("av1", "libdav1d", "ffv1", "h264", "hevc", "mjpeg", "mpeg2video", "prores", "vp8", "vp9")
_VP8_SHOWN = 0b1_0000  # in the first byte of a packet


class MiscountedError(Exception):
    """Something else came out of the decoder than the packets announced."""


@dataclass(frozen=True, slots=True)
class Packet:
    """What a packet says of its picture; times are ticks of the stream's time base."""

    time: int | None  # at which its picture is shown
    decoded_at: int | None
    is_keyframe: bool


def packet_of(packet: av.Packet[Any]) -> Packet:
    """Return what a packet says; AVI says when it is decoded, which is the same where none are reordered."""
    return Packet(packet.dts if packet.pts is None else packet.pts, packet.dts, packet.is_keyframe)


def from_packet(video: Video, packets: Sequence[Packet], begin: int) -> Iterator[av.Packet[Any]]:
    """Yield packets from one of them, or from an earlier one, on; none where seeking leads behind it.

    Containers index key frames by the time at which they are shown (Matroska) or decoded (mp4).
    """
    places = {packet.time: place for place, packet in enumerate(packets)}
    for time in (packets[begin].time, packets[begin].decoded_at):
        if time is not None:
            video.container.seek(time, stream=video.stream)
            rest = video.container.demux(video.stream)
            first = next(rest, None)
            if first is not None and places.get(packet_of(first).time, len(packets)) <= begin:
                yield first
                yield from rest
                return


class FrameIndex:
    """The time stamps of all frames of a video, from its packets: give each to `take`, then ask `is_complete`.

    That this is what comes out of the decoder, and in this order, is made sure of for the frames that are decoded.
    Damage elsewhere is not seen.
    """

    def __init__(self, video: Video) -> None:
        self._video = video
        self._packets: list[Packet] = []
        self._codec = video.stream.codec_context.name
        self._plain = self._codec in _A_PICTURE_EACH and not video.info.reordered
        self.times: list[int] = []  # ascending, once all packets were taken

    def take(self, packet: av.Packet[Any]) -> None:
        """Note what a packet says; those without content announce the end of the stream and say nothing."""
        if not packet.size:
            return
        hidden = self._codec == "vp8" and not memoryview(packet)[0] & _VP8_SHOWN
        if packet.pts is None or hidden or packet.is_discard or packet.is_corrupt:
            self._plain = False
        self._packets.append(packet_of(packet))

    def is_complete(self, stamps: Stamps) -> bool:
        """Return whether each packet makes one picture, so that frames can be told by number; `stamps` are theirs.

        No decoder makes a picture of what is stored before the first key frame, or refers to what was there. Where the
        container does not tell that its file is whole, the frames behind the last key frame are decoded: the last
        packet may have been cut.
        """
        if not (self._plain and self._packets and stamps.ordered and stamps.complete) or self._video.missing_end():
            return False
        self.times = sorted(packet.time for packet in self._packets if packet.time is not None)
        first = self._packets[0]
        if not first.is_keyframe or first.time != self.times[0]:
            return False
        return ending(self._video.path) == "whole" or self._ends_well()

    def frames(self, number: int) -> Iterator[DecodedFrame]:
        """Decode from the last key frame on that is shown no later than a frame, and yield all from there.

        Raises: MiscountedError if other frames come, or damage: then only decoding all tells what is so.
        """
        video, times, packets = self._video, self.times, self._packets
        begin = max(place for place, packet in enumerate(packets)
                    if packet.is_keyframe and packet.time is not None and packet.time <= times[number])  # fmt: skip
        key = packets[begin].time
        assert key is not None
        position = bisect_left(times, key)
        try:
            for packet in dropwhile(lambda packet: packet.pts != key, from_packet(video, packets, begin)):
                for picture in packet.decode():
                    video.read.show(picture.pts)
                    if picture.pts is not None and picture.pts < key:
                        continue  # it belongs to the key frame before
                    fields = picture.interlaced_frame and self._codec == "h264"  # each may have a packet
                    if position == len(times) or picture.pts != times[position] or picture.is_corrupt or fields:
                        raise MiscountedError
                    yield DecodedFrame(position, times[position], picture)
                    position += 1
        except av.FFmpegError as error:
            raise MiscountedError from error
        if position < len(times):
            raise MiscountedError

    def _ends_well(self) -> bool:
        """Decode the last frames, and return whether they are those that were announced."""
        try:
            for _ in self.frames(len(self.times) - 1):
                pass
        except MiscountedError:
            return False
        return True
