"""A report in a repository of the Hugging Face hub: which files it comes to, beside what is there already.

README.md                   the model card; of a card that is there only the head's numbers change
verification.json           what to cite the number by
.eval_results/DATASET.yaml  the hub's own file of results, where a benchmark is named
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from videohub.errors import UsageError
from videohub.hub import upload
from videohub.hub.upload import HubFile, Sent
from videohub.reporting import cards, verification_file
from videohub.reporting.report import Report
from videohub.reporting.verification_file import Verification

CARD = "README.md"


def push(
    report: Report,
    repository: str,
    *,
    revision: str = "main",
    benchmark: tuple[str, str] | None = None,
    pull_request: bool = False,
    dry_run: bool = False,
) -> Sent:
    """Send a report to a repository of models that exists, in one commit.

    Args:
        repository: Such as `org/repo`.
        revision: The branch.
        benchmark: The hub's data set and its task, as for `cards.write`.
        pull_request: Open a pull request instead of changing the branch.
        dry_run: Send nothing and ask nothing: return the files as a repository would get them that has none of these.
    Raises: UsageError if what is there would be lost; UploadError or OfflineError if the hub takes nothing.
    """
    upload.check(repository, revision=revision, pull_request=pull_request, dry_run=dry_run)
    paths = [CARD, verification_file.NAME, *([cards.results_path(benchmark[0])] if benchmark else [])]
    head = None if dry_run else upload.head(repository, revision)
    published = {} if head is None else {path: upload.read(head, path) for path in paths}
    there = {path: content for path, content in published.items() if content is not None}
    address = f"{upload.endpoint()}/{repository}/blob/{revision}/{verification_file.NAME}"
    made = _files(report, there, benchmark, address)
    if head is None:
        return upload.sent(repository, revision, made)
    message = f"{report.title()}: {report.verdict}, verified with videohub"
    return upload.send(head, made, message, pull_request=pull_request)


def _files(
    report: Report, there: Mapping[str, bytes], benchmark: tuple[str, str] | None, source_url: str
) -> dict[str, HubFile]:
    """Return the files for a repository. Raises: UsageError if something would be lost `there` that is not ours."""
    made = {CARD: _card(report, there.get(CARD)), verification_file.NAME: _document(report, there)}
    if benchmark is not None:
        dataset, task = benchmark
        path = cards.results_path(dataset)
        before = there.get(path)
        content = cards.evaluation_results(
            report,
            dataset_id=dataset,
            task_id=task,
            source_url=source_url,
            source_name="videohub verification",
            beside=None if before is None else _text(path, before),
        )
        made[path] = HubFile(content.encode(), "new" if before is None else "this result is added or replaced")
    return made


def _card(report: Report, there: bytes | None) -> HubFile:
    if there is None:
        return HubFile(cards.model_card(report).encode())
    card = _text(CARD, there)
    if cards.MARK_OF_A_REPORT in card:  # so nothing but numbers is lost with it
        return HubFile(cards.model_card(report).encode(), "replaces an earlier report's card")
    return HubFile(cards.with_results(card, report).encode(), "its text stays; the numbers in its head are added")


def _document(report: Report, there: Mapping[str, bytes]) -> HubFile:
    document = verification_file.of(report)
    before = there.get(verification_file.NAME)
    if before is None:
        return HubFile(document.encoded())
    try:
        other = msgspec.json.decode(before, type=Verification)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        other = None
    if other is None or (other.model.record, other.data.dataset, other.data.split) != (
        report.record, report.dataset, report.split
    ):  # fmt: skip
        what = "a file that this videohub cannot read" if other is None else (
            f"that of {other.model.record} on {other.data.dataset}, {other.data.split}"
        )  # fmt: skip
        raise UsageError(
            f"{verification_file.NAME}: found {what!s:.200} in the repository, and would replace it.\n"
            "  Push to another repository or --revision, or take it out on the hub."
        )
    return HubFile(document.encoded(), "replaces the earlier one")


def _text(path: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")  # with a mark in front of it, a card's head would be text
    except UnicodeDecodeError:
        raise UsageError(
            f"{path}: what is there is no text in UTF-8.\n  Mend it on the hub, or push to another repository."
        ) from None
