"""What a report says in words and in which order: the same on pages, on the model card and at a terminal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from videohub.formatting import counted, duration, interval, listed, versions
from videohub.metrics.metric import PerClass
from videohub.registry.schema import Checkpoint
from videohub.reporting.report import Contradicted, Report
from videohub.runs import LabelMap, MadeBy, WeightsFile

EXTREMES = 20  # classes shown at either end
MOST_NAMED = 50  # further ones are in report.json only
_STATED_ONLY = "that sha256: videohub 0.1 took it from what the weights' file says of itself"
_HF = re.compile("hf://([^/@]+/[^/@]+)/(.+)@([^@]+)")


class Fact(NamedTuple):
    """One line of what was run; a `literal` is to be copied and not read."""

    label: str
    value: str
    literal: bool = False


def summary(report: Report) -> str:
    """Return in a sentence or two what became of the videos."""
    counts = report.counts
    sentences = f"{counts.scored:,} of {counted(counts.listed, report.protocol.scored)} scored"
    rest = [f"{number:,} {word}" for number, word in
            ((counts.failed, "failed"), (counts.pending, "not looked at")) if number]  # fmt: skip
    sentences += f"; {' and '.join(rest)}." if rest else "."
    if report.sampling is not None:
        sentences += f" They are a stratified sample of {report.sampling.count:,}, seed {report.sampling.seed}."
    if report.stopping is not None:
        sentences += (
            f" The run was to stop once the verdict is settled at {100 * report.stopping.level:g} %; "
            f"it looked at {counted(report.stopping.looked_at, report.protocol.scored)}."
        )
    return sentences


def label_map(used: LabelMap) -> str:
    """Return which outputs of a network were scored."""
    return f"{used.classes} of the network's {used.outputs} outputs, by a label map with sha256 {used.sha256}"


def sentence(words: str) -> str:
    """Return words with a capital and a full stop, unless the first word has a spelling of its own (mAP)."""
    first = words if words[1:2].isupper() else words[:1].upper() + words[1:]
    return first if first.endswith((".", "…", "!", "?")) else f"{first}."


def numbers(report: Report) -> list[list[str]]:
    """Return the lines of the main table: what each tells, then its number for each metric."""
    comparisons = report.comparisons
    tolerances = [f"± {one.tolerance:g}" for one in comparisons]
    return [
        ["published", *(f"{one.published:.2f}" for one in comparisons)],
        ["recomputed", *(f"{one.recomputed:.2f}" for one in comparisons)],
        ["difference", *(f"{one.recomputed - one.published:+.2f}".replace("-", "−") for one in comparisons)],
        [interval_name(report), *(interval(one.interval) for one in comparisons)],
        ["bounds", *(interval(one.bounds) for one in comparisons)],
        *([["tolerance", *tolerances]] if any(one.tolerance for one in comparisons) else []),
        ["answer", *(one.answer for one in comparisons)],
    ]


def interval_name(report: Report) -> str:
    """Return what to call the interval: a run that stopped when it was decided has one of its own level."""
    return f"{100 * report.interval_level:g} % interval"


def measured_classes(report: Report) -> list[PerClass]:
    """Return the classes that have a value, the weakest first; equal ones in the order of the outputs."""
    return sorted((one for one in report.classes if one.value is not None), key=lambda one: one.value or 0.0)


def kinds_of_failure(report: Report) -> list[tuple[str, int]]:
    """Return how often each reason was given, the most frequent first."""
    return Counter(one_line(failure.reason) for failure in report.failures).most_common()


def of_contradicted(report: Report) -> str:
    """Return what videos whose header contradicts their content are, and what the numbers are without them."""
    sentences = (
        f"The headers of {counted(len(report.contradicted), report.protocol.scored)} contradict the content "
        f"({kinds_in_words(report.contradicted)}). They are read as the original reads them, for its number was "
        "measured so."
    )
    if not report.without_contradicted:
        return f"{sentences} No other {report.protocol.scored} was scored."
    numbers = listed(f"{one.metric} {one.recomputed:.2f}" for one in report.without_contradicted)
    return f"{sentences} Without them: {numbers}."


def one_line(words: str) -> str:
    """Return a message of several lines as one."""
    return " ".join(words.split())


def facts(report: Report) -> dict[str, list[Fact]]:
    """Return what was run, by heading."""
    return {
        "Weights": _weights(report),
        "Data": _data(report),
        "Protocol": _protocol(report),
        "Computation": _computation(report),
    }


def how_to_cite(report: Report) -> str:
    """Return one sentence that names the number, the data and this report."""
    first = report.comparisons[0]
    version = _distinct(one.software.get("videohub", "") for one in report.made_by)
    weights = f", weights with sha256 {report.weights.sha256}" if report.weights.identity else ""
    return (
        f"{first.metric} of {first.recomputed:.2f} % for {report.upstream_name} ({report.paper}) on {report.dataset} "
        f"{report.split}, recomputed on {counted(report.counts.scored, report.protocol.scored)} with videohub "
        f"{version}{weights}; report.json with sha256 {report.digest()}."
    )


def _weights(report: Report) -> list[Fact]:
    return [
        Fact("record", report.record, True),
        Fact("upstream name", report.upstream_name, True),
        Fact("sha256 of the tensors" if report.weights.identity else "sha256 of the file", report.weights.sha256, True),
        *([] if report.weights.identity else [Fact("not checked", _STATED_ONLY)]),
        *(Fact("read from", origin_of(file)) for file in files_of(report.made_by)),
        *(Fact("not checked", claim) for file in files_of(report.made_by) if (claim := claim_of(file))),
        Fact("published at", report.weights.url or "no public address", report.weights.url is not None),
        Fact("licence", report.weights.license),
        Fact("paper", report.paper),
        Fact("source of the number", report.published.source),
    ]


def _data(report: Report) -> list[Fact]:
    counts = report.counts
    return [
        Fact("data set", f"{report.dataset}, {report.split}"),
        *([Fact("label map", label_map(report.label_map))] if report.label_map else []),
        Fact("sha256 of the list", report.data_sha256, True),
        *([Fact("sha256 of the tars' members", report.shards_sha256, True)] if report.shards_sha256 else []),
        Fact("listed", f"{counts.listed:,}"),
        *([Fact("chosen", f"{counts.chosen:,}")] if counts.chosen != counts.listed else []),
        Fact("scored", f"{counts.scored:,}"),
        Fact("failed", f"{counts.failed:,}"),
        *([Fact("not looked at", f"{counts.pending:,}")] if counts.pending else []),
    ]


def _protocol(report: Report) -> list[Fact]:
    clip, protocol = report.clip, report.protocol
    views = f"{protocol.views.clips} × {len(protocol.views.crops)} views"
    return [
        Fact("protocol", f"{protocol.name}: {views} (clips × crops)"),
        Fact("clip", ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in clip.items())),
        *(Fact(part, words) for part, words in protocol.in_words().items()),
    ]


def _computation(report: Report) -> list[Fact]:
    rate = (
        ""
        if report.videos_per_second is None
        else f"; {report.videos_per_second:.3g} {report.protocol.scored}s a second and process"
    )
    made_by = report.made_by
    return [
        Fact(
            "precision",
            "; ".join(filter(None, dict.fromkeys([report.precision, *(versions(one.precision) for one in made_by)]))),
        ),
        Fact("decoder path", report.decoder),
        Fact("decoders", _distinct(versions(one.decoder) for one in made_by)),
        Fact("devices", _distinct(one.device for one in made_by)),
        Fact("software", _distinct(versions(one.software) for one in made_by)),
        Fact("processes", f"{len(made_by)}; the first one started {min(one.started for one in made_by)}"),
        Fact("time of all processes", f"{duration(report.seconds)}{rate}"),
        *(Fact("disagreement", disagreement) for disagreement in report.disagreements),
    ]


def _distinct(words: Iterable[str]) -> str:
    """Return each word once, with how often it stands there if there are several."""
    times = Counter(filter(None, words))
    if len(times) < 2:
        return next(iter(times), "not told")
    return "; ".join(f"{word} ({counted(number, 'process')})" for word, number in by_frequency(times))


def kinds_in_words(videos: Iterable[Contradicted]) -> str:
    """Return how often each kind occurs, the most frequent first."""
    times = Counter(kind for video in videos for kind in video.kinds)
    return ", ".join(f"{kind}: {count:,}" for kind, count in by_frequency(times))


def by_frequency(times: Counter[str]) -> list[tuple[str, int]]:
    """Return words with their counts, the most frequent first, and of equally frequent ones by the alphabet."""
    return sorted(times.items(), key=lambda time: (-time[1], time[0]))


def contradictions_in_words(video: Contradicted) -> str:
    """Return a video's contradictions in one line."""
    return "; ".join(f"{kind}: {detail}" for kind, detail in video.kinds.items())


def files_of(made_by: Iterable[MadeBy]) -> list[WeightsFile]:
    """Return the files that processes read their weights from, each once."""
    return list(dict.fromkeys(one.weights for one in made_by if one.weights is not None))


def origin_of(file: WeightsFile) -> str:
    """Return what a file is, by what was checked."""
    return f"{file.name}, sha256 {file.sha256}: {_voucher(file)}"


def claim_of(file: WeightsFile) -> str | None:
    """Return what a file says of itself, as its claim; None if it says nothing that was not seen here."""
    if file.claimed_sha256 is None and file.claimed_source is None:
        return None
    return (
        f"{file.name} says that it was made from {file.claimed_source or 'a file without a name'} with sha256 "
        f"{file.claimed_sha256 or 'unknown'}"
    )


def doubt_about(file: WeightsFile, published_sha256: str | None) -> str | None:
    """Return why weights may be others than the published ones, None if something vouches for their file."""
    taken = f", and of the several networks that it holds {file.taken} was taken" if file.taken else ""
    if published_sha256 is not None and file.sha256 != published_sha256:
        doubt = (
            f"these weights were not read from the published file, which has sha256 {published_sha256[:12]}…, but from "
            f"{file.name} with {file.sha256[:12]}…{taken}"
        )
    elif file.vouched_by is None:
        doubt = f"nothing vouches for {file.name} as the published file: it was given by hand{taken}"
    elif "bundle " in file.first_seen:
        doubt = (
            f"that {file.name} is the published file is known by what brought it alone: the registry states no digest, "
            f"and it was first seen here {file.first_seen}"
        )
    else:
        return None
    claim = claim_of(file)
    return f"{doubt}; {claim}, which was not checked" if claim else doubt


def public_url(published: Checkpoint) -> str | None:
    """Return where everybody can get a published file, None if the record knows no such place.

    A path on somebody's machine is none, and who may log in with which password is not told.
    """
    for url in filter(None, (published.url, *published.alternates)):
        if of_hub := _HF.fullmatch(url):  # whose names may hold the marks of a URL
            return f"https://huggingface.co/{of_hub[1]}/blob/{quote(of_hub[3], safe='')}/{quote(of_hub[2])}"
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname:
            return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return None


def _voucher(file: WeightsFile) -> str:
    if file.vouched_by == "registry":
        return "the published file, whose digest the registry states"
    if file.vouched_by == "first use":
        return f"what its address held when it was first seen here ({file.first_seen}); the registry states no digest"
    if file.vouched_by == "registry path":
        return "the file where its record says that it lies on this machine; no digest is stated"
    return "given by hand; nothing says that it is the published file"
