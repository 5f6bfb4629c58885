"""The card of a repository of weights: whose they are, under which licence, what was shown of them, how they load."""

from __future__ import annotations

from collections.abc import Sequence

from videohub import registry
from videohub.certificate import Certificate
from videohub.registry.schema import Record
from videohub.reporting.cards import license_of
from videohub.reporting.pages import render
from videohub.reporting.words import public_url


def weights_card(
    record: Record,
    repository: str,
    *,
    files: Sequence[tuple[str, int, str]],
    certificates: Sequence[Certificate],
    for_transformers: bool,
    right: str | None,
    doubts: Sequence[str],
) -> str:
    """Return the README.md for weights of a record.

    Args:
        record: What they are the weights of.
        repository: Where they will be.
        files: Path, bytes and sha256 of each.
        certificates: Of the files that hold weights.
        for_transformers: Whether transformers reads the repository as it is.
        right: What the user states, where the licence does not allow to pass them on.
        doubts: What speaks against their being the published ones.
    """
    from huggingface_hub import ModelCardData

    publisher = registry.default().publishers.get(record.publisher or "")
    license, license_name = license_of(record.checkpoint.license)
    images = record.protocol.scored == "image"
    data = ModelCardData(
        library_name="transformers" if for_transformers else "videohub",
        pipeline_tag="image-classification" if images else "video-classification",
        datasets=[record.protocol.dataset],
        tags=["videohub"],
        license=license,
        license_name=license_name,
    )
    text = render(
        "weights.md",
        record=record,
        repository=repository,
        publisher=publisher,
        url=public_url(record.checkpoint),
        files=files,
        certificates=certificates,
        for_transformers=for_transformers,
        right=right,
        doubts=doubts,
        published=[(str(number), number.source) for number in record.published],
        of_the_zoo=record.name in registry.load(registry.files()[0]).records,
    )
    return f"---\n{data.to_yaml()}\n---\n\n{text}"
