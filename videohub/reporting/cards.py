"""A report for the Hugging Face hub, through its own library: the model card, and the newer file of results."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from videohub import metrics, registry
from videohub.errors import UsageError
from videohub.escaping import visible
from videohub.formatting import counted
from videohub.metrics.verdict import Comparison
from videohub.reporting import words
from videohub.reporting.pages import render, write_files
from videohub.reporting.report import Report

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

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
    license, license_name = _license(report.weights.license)
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
    report: Report, *, dataset_id: str, task_id: str, source_url: str | None = None, source_name: str | None = None
) -> str:
    """Return the content of a file below `.eval_results/`: the number that decides, with its interval in the notes.

    Args:
        report: What was found.
        dataset_id: The benchmark on the hub that the number belongs to, such as `org/dataset`. The hub takes only
            data sets that are registered as benchmarks, so none is assumed here.
        task_id: The task's id in that benchmark's own `eval.yaml`.
        source_url: Where the report itself can be read.
        source_name: What to call that place.
    Raises: UsageError if the installed huggingface_hub cannot write these files, or `source_name` has no address.
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
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120)


def write(report: Report, folder: str | Path, *, benchmark: tuple[str, str] | None = None) -> Path:
    """Write the model card as `README.md` into a folder, whole or not at all, and return its path.

    Args:
        report: What was found.
        folder: Of the model's repository.
        benchmark: The hub's data set and its task, for a file of results below `.eval_results/`; None: no such file.
    Raises: UsageError if there is a file in the folder's place, or a README.md that is no such card; and as
        `evaluation_results`.
    """
    path, card = Path(folder) / "README.md", model_card(report)
    if path.is_file() and b"\nlibrary_name: videohub\n" not in path.read_bytes():
        raise UsageError(f"{path}: found a file that is no card of videohub's.\n  Choose another folder for the card.")
    contents = {path.name: card.encode()}
    if benchmark is not None:
        dataset, task = benchmark
        results = evaluation_results(report, dataset_id=dataset, task_id=task)
        contents[f".eval_results/{dataset.rpartition('/')[2]}.yaml"] = results.encode()
    write_files(folder, contents)
    return path


def notes(report: Report, comparison: Comparison) -> str:
    """Return one line with what a number needs beside it: interval, how many, how tested, what was published."""
    views = report.protocol.views_in_words
    interval = words.interval_name(report)
    return visible(
        f"{comparison.metric} in per cent of {counted(report.counts.scored, words.what(report))}, "
        f"{interval} {comparison.interval[0]:.2f} to {comparison.interval[1]:.2f}; {views}, {report.precision}; "
        f"published {comparison.published:g}: {comparison.answer}"
        + (f"; sha256 of the weights {report.weights.sha256}" if report.weights.identity else "")
    )


def _task(report: Report) -> str:
    return "image-classification" if report.protocol.scored == "image" else "video-classification"


def _result(report: Report, comparison: Comparison) -> EvalResult:
    from huggingface_hub import EvalResult

    metric = metrics.of(report.metric)
    return EvalResult(
        task_type=_task(report),
        dataset_type=report.dataset,
        dataset_name=_title(report.dataset),
        dataset_split=report.split,
        metric_type=metric.hub_name,
        metric_name=f"{comparison.metric}{metric.hub_condition} (%)",
        metric_value=round(comparison.recomputed, 2),
        metric_args={
            f"{words.what(report)}s".replace(" ", "_"): report.counts.scored,
            f"interval_{words.interval_name(report).partition(' ')[0]}": [round(end, 2) for end in comparison.interval],
            "bounds": [round(end, 2) for end in comparison.bounds],
            "published": comparison.published,
            "verdict": comparison.answer,
        },
    )


def _title(dataset: str) -> str:
    """Return a data set's name as its authors write it, or the key by which nothing is known here."""
    known = registry.default().datasets.get(dataset)
    return known.title if known else dataset


def _license(stated: str) -> tuple[str, str | None]:
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
