"""A page for each record: what it is, how to load it, its test and number, what was proved, what others found."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence

from tools import proofs, results
from tools.site import errata
from tools.site.protocol_picture import ShownTest, picture
from videohub.formatting import with_letter, with_unit
from videohub.registry import Record, Registry
from videohub.registry.labels import in_words
from videohub.registry.lookup import MARKS, marks, view_size
from videohub.registry.schema import Checkpoint, Published

CASES = "tests/golden"
CLOSE = "1e-5"  # of the largest logit, which the tests allow

_STATUS = {
    "manual": "Its file is to be downloaded by hand, from a page that asks for it; `checkpoint=` takes the copy.",
    "broken": "Its link does not lead to this network's file; the notes tell what it leads to.",
    "unreleased": "Its file was never made public.",
    "program": "Its file is a program, and nothing in a file ever runs here.",
}


def pages(known: Registry) -> Iterator[tuple[str, str]]:
    """Yield the page of each record, in the order of the registry."""
    of_project = _Project(known)
    for record in known.records.values():
        yield f"records/{record.name}.md", page(record, of_project)


class _Project:
    """What is known beside the records: what they cost, what was proved and measured."""

    def __init__(self, known: Registry) -> None:
        self.known = known
        self.proofs = proofs.read()
        self.reported, self.measured = results.reported(), results.measured()
        self.errata: dict[str, list[errata.Erratum]] = {}
        for each in (one for publisher in errata.read() for one in publisher.errata):
            for name in each.about(known):
                self.errata.setdefault(name, []).append(each)


def page(record: Record, project: _Project) -> str:
    """Return one record's page."""
    known, status = project.known, _STATUS.get(record.status)
    parts = [
        f"---\ntitle: {record.name}\n---\n# {record.name}",
        _trail(record, known),
        *([f'!!! warning "{record.status}"\n    {status}'] if status else []),
        _heading("What it is"),
        _facts(record, project),
        _heading("Load it"),
        _loading(record),
        _heading("The test"),
        _test(record),
        _heading("Published"),
        _published(record),
        _heading("Proved here"),
        _proved(record, project),
        _heading("Measured again"),
        _measured(record, project),
        _heading("The file"),
        *map(_file, (record.checkpoint, *record.other_checkpoints)),
    ]
    if record.notes:
        parts += [_heading("Notes"), "\n".join(f"- {linked(note, known)}" for note in record.notes)]
    if ours := project.errata.get(record.name):
        parts += [
            _heading("Errata"),
            "\n".join(f"- {each.in_words()}" for each in ours),
            "All: [errata](../errata.md).",
        ]
    if names := known.namesakes(record):
        parts += [_heading("Namesakes"), _namesakes(record, names, known)]
    return "\n\n".join(parts) + "\n"


def _heading(text: str) -> str:
    """Return the heading of a section that the site's search leaves out: it finds records by their names."""
    return f"## {text} {{ data-search-exclude }}"


# --- what it is ------------------------------------------------------------------------------------------------------


def _trail(record: Record, known: Registry) -> str:
    """Return where it stands in the zoo, and what it is, in a line each."""
    publisher = known.publishers.get(record.publisher or "")
    title = publisher.title if publisher else "of one's own"
    number = f"published with {record.number}" if record.number else "without a published number"
    network = f"{record.arch} {record.depth} for {record.task}, {record.dataset.title}, {number}"
    return f"[The zoo](../zoo.md) › {plain(title)} › `{record.upstream_name}`\n\n{plain(network)}."


def _facts(record: Record, project: _Project) -> str:
    known = project.known
    publisher = known.publishers.get(record.publisher or "")
    classes = record.model.num_classes
    outputs = "features, no classifier" if not classes else f"{classes - record.model.background_outputs} classes"
    cost, size = known.costs.get(record.name), view_size(record)
    counted = "not counted"
    if cost and size:
        counted = f"{cost.params:,} parameters, {with_letter(cost.multiply_adds)} multiply-adds for {_by(size)}"
    home = f"[{plain(publisher.title)}]({publisher.url})" if publisher and publisher.url else record.publisher
    rows = [
        ("publisher", f"{home}, at {publisher.commit}" if publisher and publisher.commit else home),
        ("upstream name", f"`{record.upstream_name}`"),
        ("other ids", ", ".join(f"`{alias}`" for alias in record.aliases)),
        ("network", plain(f"{record.arch} {record.depth} (family {record.family}), {outputs}")),
        ("labels", plain(in_words(record.labels))),
        ("frames x rate", _frames_and_rate(record)),
        ("size", counted),
        ("data set", plain(record.dataset.title)),
        ("training", plain(record.training)),
        ("starts from", _record_link(record.pretrain, known) if record.pretrain else ""),
        ("superseded by", ", ".join(_record_link(name, known) for name in record.superseded_by)),
        ("configuration", f"`{record.config}`" if record.config else ""),
        ("paper", _paper(record.paper)),
        ("licence", plain(record.checkpoint.license)),
        ("marks", "; ".join(f"{mark}: {MARKS[mark]}" for mark in marks(record))),
        ("status", record.status),
    ]
    return _table(("", ""), [(name, value) for name, value in rows if value])


def _frames_and_rate(record: Record) -> str:
    """Return the clip as the table prints it, and what the network is given."""
    if record.protocol.scored == "image":
        return "an image"
    printed = f"{record.frames} x {record.rate}" if record.frames and record.rate else str(record.frames or "")
    given = f"{record.clip.frames} x {record.clip.sampling_rate}"
    if record.protocol.frames.spacing == "parts":
        given = f"{record.clip.frames} frames, spread over the video"
    return f"{printed} as printed; the network is given {given}" if printed and printed != given else given


def _paper(paper: str) -> str:
    number = re.fullmatch(r"arXiv:(\d{4}\.\d{4,5})", paper)
    return f"[{paper}](https://arxiv.org/abs/{number[1]})" if number else plain(paper)


# --- how to load it --------------------------------------------------------------------------------------------------

_VERBS = {
    "classification": 'videohub.predict("{}", model)  # the most probable classes',
    "detection": 'videohub.detect("{}", model, boxes="people.csv")  # who does what, and when',
    "features": 'videohub.features("{}", model, stride=16)  # a row for each window',
}
_COMMANDS = {
    "classification": "videohub predict {} --model {}",
    "detection": "videohub detect {} --model {} --boxes people.csv",
    "features": "videohub features {} --model {} --stride 16 --out features",
}


def _loading(record: Record) -> str:
    """Return three ways: Python, torch.hub, the command line; without a file there is the network alone."""
    name = record.name
    if record.status in ("broken", "unreleased", "program"):
        return (
            "There is no file that could be loaded. The network can be built, and takes a file of your own:\n\n"
            f'```python\nimport videohub\n\nnetwork = videohub.build("{name}")\n'
            f'model = videohub.load("{name}", checkpoint="yours.pth")\n```'
        )
    copy = ', checkpoint="the-copy"' if record.status == "manual" else ""
    option = " --checkpoint the-copy" if record.status == "manual" else ""
    seen = "picture.jpg" if record.protocol.scored == "image" else "clip.mp4"
    command = _COMMANDS[record.task].format(seen, name)
    check = f"\nvideohub check {name}{option}" if record.known_answers else ""
    test = "" if record.number is None else f"\nvideohub verify {name} --data LISTS --root FOLDER{option}"
    ways = {
        "Python": f'import videohub\n\nmodel = videohub.load("{name}"{copy})\n{_VERBS[record.task].format(seen)}',
        "torch.hub": f'import torch\n\nmodel = torch.hub.load(\n    "org/videohub", "{name}", pretrained=True{copy}, '
        "trust_repo=True\n)",
        "Command line": f"videohub fetch {name}{option}\n{command}{option}{check}{test}",
    }
    tabs = []
    for title, code in ways.items():
        fenced = f"```{'console' if title == 'Command line' else 'python'}\n{code}\n```"
        tabs.append(f'=== "{title}"\n\n' + "\n".join(f"    {line}" if line else "" for line in fenced.splitlines()))
    guide = {"classification": "predict", "detection": "detect", "features": "features"}[record.task]
    return "\n\n".join([*tabs, f"More: [guide](../guides/{guide}.md), [fine-tuning](../guides/finetune.md)."])


# --- how its number was measured -------------------------------------------------------------------------------------


def _test(record: Record) -> str:
    protocol = record.protocol
    views = f"Protocol `{protocol.name}`: {plain(record.dataset.title)}, {protocol.split}, {protocol.views_in_words}."
    rows = [(part, plain(words)) for part, words in protocol.in_words().items()]
    return "\n\n".join([views, picture(ShownTest.of(protocol, record.clip, record.dataset)), _table(("", ""), rows)])


def _published(record: Record) -> str:
    if not record.published:
        return "Nobody printed a number for this file."
    return "\n".join(f"- {_number(each)}, {_views(record, each)}: {plain(each.source)}" for each in record.published)


def _number(published: Published) -> str:
    printed = ", ".join(f"{name} {value}" for name, value in (published.as_printed or {}).items())
    tolerance = f" ± {published.tolerance:g}" if published.tolerance else ""
    return f"**{published}**{tolerance}" + (f" (printed as {plain(printed)})" if printed else "")


def _views(record: Record, published: Published) -> str:
    views = published.views
    words = f"{views.clips} x {views.crops} views" if views else record.protocol.views_in_words
    mapped = published.mapped
    return words + (f" on {mapped.dataset}, of {mapped.classes} of the outputs" if mapped else "")


# --- what was proved -------------------------------------------------------------------------------------------------


def _proved(record: Record, project: _Project) -> str:
    proofs_of_all = (_network_proof(record, project), *_view_proofs(record, project), *_file_proofs(record))
    return "\n".join(f"- {each}" for each in proofs_of_all) + "\n\n[How it is proved](../proved.md)."


def _network_proof(record: Record, project: _Project) -> str:
    proof = record.proof
    if proof is None:
        return "The network was compared with no other implementation of this configuration: unproven."
    if proof.golden:
        name = proof.golden if "/" in proof.golden else f"models/{proof.golden}"
        result = project.proofs.cases.get(name)
        what = f"The network gives the original's logits: golden case `{CASES}/{name}`"
    else:
        result = project.proofs.references.get(record.name)
        what = f"The network gives the logits of {plain(str(proof.reference))}"
    if result is None:
        return f"{what}, to {CLOSE} of the largest logit. How large the difference is was not measured again."
    where = f"measured on {result.date} with torch {result.torch}; {CLOSE} is allowed"
    return f"{what}. Largest difference: **{result.logits:.1e}** of the largest logit ({where})."


def _view_proofs(record: Record, project: _Project) -> Iterator[str]:
    views = project.proofs.views.get(record.protocol.name)
    if views is None:
        yield "Views: no golden file holds an original's views of this protocol's steps."
        return
    if views.whole:
        yield f"Views: the original's, of this very protocol, in {_files(views.whole)}."
    if views.steps:
        yield f"Views by the same steps, of other clips or crops, in {_files(views.steps)}."


def _files(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{CASES}/{name}`" for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _file_proofs(record: Record) -> Iterator[str]:
    yield (
        "The file: `videohub fetch` proves every tensor's name and shape; what became of a file made here in its "
        "container and layout is in [every record, loaded once](../zoo_walk.md). `videohub convert` writes a "
        "certificate: two files of one network, and that they give the same logits."
    )
    for answer in record.known_answers:
        yield (
            f"Known answer: {plain(answer.input.in_words())}; {plain(answer.source)}. "
            f"`videohub check {record.name}` computes it again ([guide](../guides/check.md))."
        )


# --- measured again --------------------------------------------------------------------------------------------------


def _measured(record: Record, project: _Project) -> str:
    ours = [each for each in project.measured if each.record == record.name]
    others = [each for each in project.reported if each.record == record.name]
    parts = []
    if ours:
        parts.append(results.list_of_measured(ours))
    if others:
        parts.append("By others, as they say; none of it was measured by us:")
        parts.append(results.list_of_reported(others))
    else:
        parts.append("Nobody's measurement of this file is known to us.")
    parts.append("[How to add one](../measured.md).")
    return "\n\n".join(parts)


# --- the file, and what else is to be known --------------------------------------------------------------------------


def _file(file: Checkpoint) -> str:
    sha256 = f"`{file.sha256}`" if file.sha256 else "not measured; the first one seen will bind"
    if not file.sha256 and file.sha256_prefix:
        sha256 += f"; its publisher says that it begins with `{file.sha256_prefix}`"
    if not file.sha256 and file.reported_sha256:
        sha256 += f"; somebody reports `{file.reported_sha256}`"
    rows = [
        ("address", _address(file.url) + (" (a page, to download by hand)" if file.manual else "")),
        ("size", with_unit(file.size) if file.size else "not measured"),
        ("sha256", sha256),
        ("container", f"{file.container or 'unknown'}, layout {file.layout}"),
        *(("beside it", _address(other.url)) for other in file.beside),
        *(("the same at", _address(url)) for url in file.alternates),
    ]
    return _table(("", ""), rows)


def _address(url: str | None) -> str:
    if url is None:
        return "none"
    if url.startswith("file:"):  # where the registry that was read lies, which is this machine's business
        return f"`{url.rpartition('/')[2]}`, which comes with the registry"
    return f"<{url}>" if url.startswith("http") else f"`{url}`"


def _namesakes(record: Record, names: Sequence[str], known: Registry) -> str:
    lines = []
    for name in names:
        other = known.records[name]
        publisher = known.publishers.get(other.publisher or "")
        words = [publisher.title if publisher else "", other.dataset.title, str(other.number or "no number")]
        status = f" ({other.status})" if other.status != "available" else ""
        lines.append(f"- {_record_link(name, known)}: {plain(', '.join(filter(None, words)))}{status}")
    others = f"{len(names)} other record{'s have' if len(names) > 1 else ' has'}"
    return f"{others} the upstream name `{record.upstream_name}`.\n\n" + "\n".join(lines)


def _record_link(name: str, known: Registry) -> str:
    return f"[`{name}`]({name}.md)" if name in known.records else f"`{name}`"


def linked(text: str, known: Registry) -> str:
    """Return a note as Markdown that shows it as it is, with links where it names records."""

    def link(match: re.Match[str]) -> str:
        name = match[0].strip("`")
        return _record_link(name, known) if name in known.records else match[0]

    return re.sub(r"`[^`]*`|\w+", link, plain(text, keep="_"))


def plain(text: str, keep: str = "") -> str:
    """Return text as Markdown that shows it as it is, but for code, which stands in backticks."""
    special = "".join(mark for mark in "*_[]|~^" if mark not in keep)
    parts = re.split(r"(`[^`]*`)", text)  # every second one is code
    for place in range(0, len(parts), 2):
        escaped = html.escape(parts[place], quote=False).replace("`", "&#96;")
        parts[place] = re.sub(f"[{re.escape(special)}]", lambda match: f"&#{ord(match[0])};", escaped)
    return "".join(parts)


def _by(size: tuple[int, int, int]) -> str:
    return " x ".join(map(str, size))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
