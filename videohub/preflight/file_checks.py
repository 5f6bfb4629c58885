"""From probes of files to findings: what cannot be scored, and what would move the number."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from videohub.data.samples import ImageFile, KeyFrame, Sample
from videohub.data.sampling import resampled_indices
from videohub.data.video_info import KINDS, REFUSED, Kind
from videohub.formatting import counted
from videohub.preflight.findings import EXAMPLES, Expected, Finding
from videohub.preflight.index import Target
from videohub.preflight.probe import Job, Probe
from videohub.protocols import SKIPS, Interleaved, Protocol, Resampled

# Uneven and turned videos have words of their own.
_HEADER_KINDS = [kind for kind in KINDS if kind not in ("turned picture", "uneven time stamps")]
_NOUNS = ((ImageFile, "image"), (KeyFrame, "key frame"))  # others are videos
_NEAR = 2  # pixels that a short side may be off: some tools round to even or to blocks
_USUAL_RATES = (10, 61)  # frames per second of videos that people film; 60 and a little
_FAULT = "could not be looked at for a fault of videohub's or its libraries', not of theirs; please report it"
_CONTRADICTED = (
    "have a header that contradicts their content ({}); verify reads them as the original does, predict as they are"
)
_SAME_RATE = 0.02  # share by which a rate may be off: 23.976 is 24, and averages of short videos waver


@dataclass(frozen=True)
class ProbedFile:
    """A file of the data set with what was found about it; no probe where nothing is there."""

    target: Target
    probe: Probe | None


Detail: TypeAlias = Callable[[Probe], "str | None"]  # what is to be said of a file, if anything


def judge_files(
    files: Sequence[ProbedFile],
    groups: Sequence[Sequence[Target]],
    samples: Sequence[Sample],
    expected: Expected,
    protocol: Protocol,
) -> list[Finding]:
    """Return what to tell about a data set's files, what cannot be scored first; `groups` hold the same bytes."""
    about = _SampleFindings(samples)
    good = [one for one in files if one.probe and not one.probe.problem]
    rules = [*_pictures(good, expected, protocol), *_lengths(expected, protocol), *_rates(expected, protocol)]
    read = [one for one in good if one.probe and not refused(one.probe, protocol)]
    findings = [
        about.missing(files),
        about.every("unreadable", files, lambda probe: _unreadable(probe, protocol), "cannot be read"),
        about.every("fault", files, lambda probe: probe.problem if probe.fault else None, _FAULT),
        about.every("damaged", good, lambda probe: probe.damage, "are damaged further on"),
        about.every("frames missing", good, _absent, "lack images that their list names"),
        *(about.every(kind, read, _contradicted(kind), _CONTRADICTED.format(kind)) for kind in _HEADER_KINDS),
        *(about.some(kind, good, detail_of, text) for kind, detail_of, text in rules),
        about.duplicates(groups),
    ]
    return [finding for finding in findings if finding]


def _unreadable(probe: Probe, protocol: Protocol) -> str | None:
    """Return why a sample cannot be read, if that is its own doing."""
    return None if probe.fault else probe.problem or refused(probe, protocol)


def refused(probe: Probe, protocol: Protocol) -> str | None:
    """Return why a video will count as failed although it decodes: the original's reader does not take its header."""
    reads_headers = protocol.frames.reach == "time_windows"
    return f"{REFUSED}: {probe.refusal}" if probe.refusal and reads_headers else None


def _contradicted(kind: Kind) -> Detail:
    """Return what tells in which figures a video's header contradicts its content in one kind."""
    return lambda probe: next((one.detail for one in probe.contradictions if one.kind == kind), None)


def _is_uneven(probe: Probe) -> bool:
    """Tell whether frames come at varying distances; a stated rate that is wrong says nothing about that."""
    kinds = {one.kind for one in probe.contradictions}
    return "uneven time stamps" in kinds or (probe.uneven and "frame rate" not in kinds)


def too_short(probe: Probe, expected: Expected, protocol: Protocol) -> str | None:
    """Return how long a video is, if a clip covers more; where a container counts no frames, its seconds tell."""
    if protocol.scored != "video":
        return None
    frames = probe.frames or round(probe.seconds * probe.fps)
    span = float(expected.clip_frames)
    if protocol.fps is not None and probe.fps:
        span *= probe.fps / protocol.fps
    if not 0 < frames < span:
        return None
    rule = protocol.frames
    if isinstance(rule, Resampled) and resampled_indices(
        frames,
        frames=expected.clip_frames,
        sampling_rate=1,
        clip=0,
        clips=1,
        fps=probe.fps or rule.fps,
        new_fps=rule.fps,
    ):
        return None  # what lies behind the last frame that a clip takes may be missing
    return f"{counted(frames, 'frame')}, a clip covers {span:g}"


_Rule: TypeAlias = tuple[str, Detail, str]  # a kind of finding, what is said of one file, and what of all


def _pictures(good: Sequence[ProbedFile], expected: Expected, protocol: Protocol) -> Iterator[_Rule]:
    """Yield what may be found about pictures."""

    def size(probe: Probe) -> str:
        return f"{probe.width} x {probe.height}"

    if side := expected.resized_to:
        sides = sorted(one.probe.short_side for one in good if one.probe)
        middle = sides[len(sides) // 2] if sides else 0
        yield (
            "not resized",
            lambda probe: size(probe) if probe.short_side > side + _NEAR else None,
            f"have not been resized to a short side of {side} pixels beforehand, as the reference's were, which moves "
            f"the number (half of all have {middle} or less)",
        )
        yield (
            "small",
            lambda probe: size(probe) if probe.short_side < side - _NEAR else None,
            f"are smaller than {side} pixels, and will be enlarged"
            if (protocol.short_side or 0) >= side
            else f"are smaller than the {side} pixels that the reference's were resized to beforehand",
        )
    if expected.original_size:
        yield (
            "made smaller",
            lambda probe: size(probe) if probe.short_side <= (protocol.short_side or 0) else None,
            "have frames no larger than the network's: the boxes are of frames in their original size, and frames that "
            "were made smaller lose much",
        )
    yield (
        "rotated",
        _contradicted("turned picture"),
        "carry a rotation tag, which verify does not apply, as the original does not: the network sees them lying",
    )
    yield (
        "covered up",
        lambda probe: counted(probe.patched, "frame") if probe.patched else None,
        "hold damage that the decoder covered up: up to the next key frame, pictures are not what they were",
    )
    yield (
        "frames of other sizes",
        lambda probe: counted(probe.unlike, "image") if probe.unlike else None,
        "hold images that have another size than their first one",
    )


def _lengths(expected: Expected, protocol: Protocol) -> Iterator[_Rule]:
    """Yield what may be found about length."""
    apart = protocol.views.clips == 1 or isinstance(protocol.frames, Interleaved)  # whose clips differ
    effect = "some of their frames are taken twice" if apart else "all their clips are the same"
    if isinstance(protocol.frames, Resampled):
        effect = f"{protocol.frames.name} sampling {SKIPS}, as the original does; verify counts it as wrong, likewise"
    yield (
        "too short",
        lambda probe: too_short(probe, expected, protocol),
        f"are shorter than one clip: {effect}",
    )
    if longest := expected.longest_s:
        yield (
            "too long",
            lambda probe: f"{probe.seconds:.1f} s" if probe.seconds > longest else None,
            f"last longer than {longest:g} s: they were not cut to what their label is about",
        )


def _rates(expected: Expected, protocol: Protocol) -> Iterator[_Rule]:
    """Yield what may be found about frame rates; only videos have one."""
    low, high = _USUAL_RATES

    def rate(probe: Probe, odd: bool) -> str | None:
        return f"{probe.fps:.2f} frames a second" if odd and probe.fps else None

    if (fps := expected.fps) and (protocol.fps is None or protocol.scored == "key frame"):
        yield (
            "frame rate",
            lambda probe: rate(probe, abs(probe.fps - fps) > _SAME_RATE * fps),
            f"do not run at the {fps:g} frames a second of the reference's frames; frames are taken as they come",
        )
    else:
        yield (
            "unusual frame rate",
            lambda probe: rate(probe, not low <= probe.fps <= high and not _contradicted("frame rate")(probe)),
            f"state fewer than {low} or more than {high - 1} frames a second",
        )
    yield (
        "uneven frame rate",
        lambda probe: rate(probe, _is_uneven(probe)),
        "have frames at varying distances; clips are placed by the average",
    )


def _absent(probe: Probe) -> str | None:
    return f"{probe.absent} of {counted(probe.frames, 'image')}" if probe.absent else None


# --- findings about samples ------------------------------------------------------------------------------------------


class _SampleFindings:
    """Makes findings about the samples of one data set."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples
        source = samples[0].source if samples else None
        self._noun = next((noun for kind, noun in _NOUNS if isinstance(source, kind)), "video")

    def missing(self, files: Sequence[ProbedFile]) -> Finding | None:
        """Return the finding that some samples are not there."""
        absent = [(number, one.target) for one in files if one.target.missing for number in one.target.samples]
        why = _summed_up([target.missing or "" for _, target in absent])
        paths = {number: f"{_looked_for(target.job)}: {target.missing}" for number, target in absent}
        return self._finding("missing", paths, f"are not here: {why}", most=len(paths))

    def every(self, kind: str, files: Sequence[ProbedFile], detail_of: Detail, text: str) -> Finding | None:
        """Return a finding that names every sample and sums up the details, or None if there is no such sample."""
        touched = _touched(files, detail_of)
        return self._finding(kind, touched, f"{text}: {_summed_up(touched.values())}", most=len(touched))

    def some(self, kind: str, files: Sequence[ProbedFile], detail_of: Detail, text: str) -> Finding | None:
        """Return a finding that names the first samples."""
        return self._finding(kind, _touched(files, detail_of), text, most=EXAMPLES)

    def duplicates(self, groups: Sequence[Sequence[Target]]) -> Finding | None:
        """Return the finding that some files hold the bytes of others."""
        numbers = [sorted(number for target in group for number in target.samples) for group in groups]
        touched = {number: f"as {self._samples[group[0]].name}" for group in numbers for number in group[1:]}
        text = "hold the same bytes as another one"
        if unlike := sum(len({self._samples[number].truth for number in group}) > 1 for group in numbers):
            text += f"; in {counted(unlike, 'case')} their classes differ"
        return self._finding("duplicates", touched, text, most=EXAMPLES)

    def _finding(self, kind: str, touched: dict[int, str], text: str, *, most: int) -> Finding | None:
        if not touched:
            return None
        share = f"{len(touched):,} of {counted(len(self._samples), self._noun)}"
        names = {self._samples[number].name: touched[number] for number in sorted(touched)[:most]}
        return Finding(kind, len(touched), f"{share} {text}", samples=names)


def _touched(files: Sequence[ProbedFile], detail_of: Detail) -> dict[int, str]:
    """Return what is said of each sample that there is something to be said of."""
    return {
        number: detail
        for one in files
        if one.probe and (detail := detail_of(one.probe))
        for number in one.target.samples
    }


def _summed_up(details: Collection[str]) -> str:
    """Return the most frequent details with their counts."""
    counts = Counter(details).most_common(4)
    parts = [detail if times == len(details) else f"{times:,} x {detail}" for detail, times in counts[:3]]
    return "; ".join(parts + ["…"] * (len(counts) > 3))


def _looked_for(job: Job) -> str:
    """Return the file that was looked for; of images, the folder of the first."""
    folder = os.fsdecode(job.names.split(b"\n", 1)[0]).rpartition("/")[0]
    return os.path.join(os.fsdecode(job.path), *filter(None, [folder]))
