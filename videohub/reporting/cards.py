"""A report for the Hugging Face hub, through its own library: the model card, and the newer file of results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from videohub import metrics, registry
from videohub.errors import UsageError
from videohub.escaping import visible
from videohub.formatting import counted
from videohub.metrics.verdict import Comparison
from videohub.reporting import verification_file, words
from videohub.reporting.pages import render, write_files
from videohub.reporting.report import Report

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

MARK_OF_A_REPORT = "<!-- A report of videohub's: the next one replaces this page. -->"  # as templates/card.md begins
MARK_OF_WEIGHTS = "<!-- Weights published with videohub: the next publication replaces this page. -->"
_NOTED = " in per cent of "  # which each of our entries says in its notes
_HEAD = re.compile(r"---\r?\n(?P<head>.*?)^---[ \t]*(?:\r?\n|\Z)", re.MULTILINE | re.DOTALL)
EVALUATION_SINCE = "1.4.0"  # the first huggingface_hub with EvalResultEntry

# The hub's own words for licences; a file that states another, or none, gets "other" and the statement itself.
_LICENSES = ("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0",
             "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0")  # fmt: skip


def model_card(report: Report) -> str:
    """Return a README.md for the hub: numbers as `model-index` in its head, and in words below.

    `model-index` has no place for intervals but the arguments of a metric; they stand there and in the text.
    """
    from huggingface_hub import ModelCardData

    metric, task = metrics.of(report.metric), _task(report)
    license, license_name = license_of(report.weights.license)
    data = ModelCardData(
        model_name=report.record,
        library_name="videohub",
        pipeline_tag=task,
        datasets=[report.dataset],
        metrics=[metric.hub_name],
        tags=["videohub", *([] if task == "image-classification" else metric.hub_tags)],
        eval_results=[_result(report, comparison) for comparison in report.comparisons],
        license=license,
        license_name=license_name,
    )
    return f"---\n{data.to_yaml()}\n---\n\n{_text(report)}"


def evaluation_results(
    report: Report,
    *,
    dataset_id: str,
    task_id: str,
    source_url: str | None = None,
    source_name: str | None = None,
    beside: str | None = None,
) -> str:
    """Return the content of a file below `.eval_results/`: the number that decides, with its interval in the notes.

    Args:
        dataset_id: The benchmark on the hub that the number belongs to, such as `org/dataset`. The hub takes only
            data sets that are registered as benchmarks, so none is assumed here.
        task_id: The task's id in that benchmark's own `eval.yaml`.
        source_url: Where the report itself can be read.
        source_name: What to call that place.
        beside: What the file held before; other entries of it stay, and an earlier one of ours goes.
    Raises: UsageError if somebody else's entry for that task is there, the installed huggingface_hub cannot write
        these files, or `source_name` has no address.
    """
    import huggingface_hub

    if not hasattr(huggingface_hub, "EvalResultEntry"):
        raise UsageError(
            f"files of evaluation results need huggingface_hub {EVALUATION_SINCE} or later; "
            f"found {huggingface_hub.__version__}.\n  pip install --upgrade huggingface_hub"
        )
    if source_name is not None and source_url is None:
        raise UsageError(f"source_name: found {source_name!r} without a source_url; the hub wants the address too")
    comparison = report.comparisons[0]
    entry = huggingface_hub.EvalResultEntry(
        dataset_id=dataset_id,
        task_id=task_id,
        value=round(comparison.recomputed, 2),
        date=max(one.started for one in report.made_by),
        source_url=source_url,
        source_name=source_name,
        notes=notes(report, comparison),
    )
    plain: list[dict[str, Any]] = huggingface_hub.eval_result_entries_to_yaml([entry])
    others = [] if beside is None else _other_entries(beside, dataset_id, task_id)
    return yaml.safe_dump([*others, *plain], sort_keys=False, allow_unicode=True, width=120)


def with_results(card: str, report: Report) -> str:
    """Return somebody else's card with this report's numbers in the `model-index` of its head; its text stays.

    Numbers of an earlier report on the same data go, those of anybody else stay, and so does all else of the head.
    Raises: UsageError if the head cannot be read.
    """
    from huggingface_hub.repocard_data import eval_results_to_model_index

    head, text = _split(card)
    ours = [_result(report, comparison) for comparison in report.comparisons]
    (model,) = eval_results_to_model_index(report.record, ours)
    try:
        models = head.setdefault("model-index", [{"name": report.record, "results": []}])
        results = models[0]["results"]
        for result in results:
            result["metrics"] = [each for each in result["metrics"] if not _is_replaced(each, result, by=ours)]
        models[0]["results"] = [*(result for result in results if result["metrics"]), *model["results"]]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise _unreadable(error) from None
    return _joined(head, text)


def with_numbers_of(card: str, other: str) -> str:
    """Return a card of ours with the `model-index` of another, which reports may have added. Raises: UsageError."""
    head, text = _split(card)
    index = _split(other)[0].get("model-index")
    return card if index is None else _joined({**head, "model-index": index}, text)


def results_path(dataset_id: str) -> str:
    """Return where in a repository the hub's file of results for a benchmark's data set lies."""
    return f".eval_results/{dataset_id.rpartition('/')[2]}.yaml"


def write(report: Report, folder: str | Path, *, benchmark: tuple[str, str] | None = None) -> Path:
    """Write the model card as `README.md`, and `verification.json`, into a folder; return the card's path.

    `benchmark`: the hub's data set and its task, for a file of results below `.eval_results/`; None: no such file.
    Raises: UsageError if there is a file in the folder's place, or a README.md that is no such card; and as
        `evaluation_results`.
    """
    path, card = Path(folder) / "README.md", model_card(report)
    if path.is_file() and b"\nlibrary_name: videohub\n" not in path.read_bytes():
        raise UsageError(f"{path}: found a file that is no card of videohub's.\n  Choose another folder for the card.")
    contents = {path.name: card.encode(), verification_file.NAME: verification_file.of(report).encoded()}
    if benchmark is not None:
        dataset, task = benchmark
        results = evaluation_results(report, dataset_id=dataset, task_id=task)
        contents[results_path(dataset)] = results.encode()
    write_files(folder, contents)
    return path


def notes(report: Report, comparison: Comparison) -> str:
    """Return one line with what a number needs beside it: interval, how many, how tested, what was published."""
    views = report.protocol.views_in_words
    interval = words.interval_name(report)
    return visible(
        f"{comparison.metric}{_NOTED}{counted(report.counts.scored, report.protocol.scored)}, "
        f"{interval} {comparison.interval[0]:.2f} to {comparison.interval[1]:.2f}; {views}, {report.precision}; "
        f"published {comparison.published:g}: {comparison.answer}"
        + (f"; sha256 of the weights {report.weights.sha256}" if report.weights.identity else "")
    )


def _split(card: str) -> tuple[dict[str, Any], str]:
    """Return the head of a card and its text. Raises: UsageError."""
    match = _HEAD.match(card)
    try:
        head = dict(yaml.safe_load(match["head"]) or {}) if match else {}
        node = yaml.compose(match["head"], yaml.SafeLoader) if match else None
        names = [name.value for name, _ in node.value] if node and head else []
        if twice := next((name for name in names if names.count(name) > 1), None):  # of which one would be lost
            raise ValueError(f"it has {twice!r:.80} twice")
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise _unreadable(error) from None
    return head, card[match.end() :] if match else f"\n{card}"


def _joined(head: dict[str, Any], text: str) -> str:
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=120)}---\n{text}"


def _unreadable(error: Exception) -> UsageError:
    return UsageError(
        f"README.md: the head of the card that is there cannot be read ({error!s:.200}).\n"
        "  Mend it on the hub, or push to another repository."
    )


def _other_entries(content: str, dataset: str, task: str) -> list[dict[str, Any]]:
    """Return the entries of a file of results without ours for a task."""
    try:
        entries = [dict(entry) for entry in yaml.safe_load(content) or ()]
        named = [(entry, (entry["dataset"]["id"], entry["dataset"]["task_id"])) for entry in entries]
    except (yaml.YAMLError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(f"the file of results that is there cannot be read: {error!s:.200}") from None
    of_the_task = [entry for entry, about in named if about == (dataset, task)]
    if others := [entry for entry in of_the_task if _NOTED not in str(entry.get("notes"))]:
        raise UsageError(
            f"somebody else's result for {task} of {dataset}, {others[0].get('value')!s:.40}, is not replaced.\n"
            "  Take it out on the hub, or leave out --benchmark."
        )
    return [entry for entry, about in named if about != (dataset, task)]


def _is_replaced(metric: Mapping[str, Any], result: Mapping[str, Any], *, by: Iterable[EvalResult]) -> bool:
    """Return whether a number of a card's head is an earlier report's, and one of these stands for it."""
    made_here = isinstance(args := metric.get("args"), dict) and args.keys() >= {"bounds", "published", "verdict"}
    task, dataset = result["task"], result["dataset"]
    what = task["type"], dataset["type"], dataset.get("split"), metric["type"], metric.get("name")
    return made_here and what in {
        (one.task_type, one.dataset_type, one.dataset_split, one.metric_type, one.metric_name) for one in by
    }


def _task(report: Report) -> str:
    return "image-classification" if report.protocol.scored == "image" else "video-classification"


def _result(report: Report, comparison: Comparison) -> EvalResult:
    from huggingface_hub import EvalResult

    metric, known = metrics.of(report.metric), registry.default().datasets.get(report.dataset)
    return EvalResult(
        task_type=_task(report),
        dataset_type=report.dataset,
        dataset_name=known.title if known else report.dataset,
        dataset_split=report.split,
        metric_type=metric.hub_name,
        metric_name=f"{comparison.metric}{metric.hub_condition} (%)",
        metric_value=round(comparison.recomputed, 2),
        metric_args={
            f"{report.protocol.scored}s".replace(" ", "_"): report.counts.scored,
            f"interval_{words.interval_name(report).partition(' ')[0]}": [round(end, 2) for end in comparison.interval],
            "bounds": [round(end, 2) for end in comparison.bounds],
            "published": comparison.published,
            "verdict": comparison.answer,
        },
    )


def license_of(stated: str) -> tuple[str, str | None]:
    """Return the hub's word for a licence; for any other statement "other", and a form of it that passes for a name."""
    if stated.casefold() in _LICENSES:
        return stated.casefold(), None
    return "other", re.sub("[^a-z0-9.]+", "-", stated.casefold()).strip("-.")


def _checked(report: Report) -> str:
    """Return what was measured: the published file, or what nothing vouches for as that."""
    files = words.files_of(report.made_by)
    if not files:
        return "A file that videohub 0.1 did not note"
    return "The published file" if any(file.vouched_by for file in files) else "A file given by hand"


def _text(report: Report) -> str:
    of_the_zoo = report.record in registry.load(registry.files()[0]).records
    return render(
        "card.md",
        report=report,
        checked=_checked(report),
        reasons=[words.sentence(reason) for reason in report.reasons],
        summary=words.summary(report),
        metrics=[comparison.metric for comparison in report.comparisons],
        numbers=words.numbers(report),
        of_the_zoo=of_the_zoo,
        needs_file=not (of_the_zoo or report.weights.url),
        by_box=metrics.of(report.metric).by_box,
        facts=words.facts(report),
        citation=words.how_to_cite(report),
    )
