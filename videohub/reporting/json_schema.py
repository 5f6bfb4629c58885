"""The JSON Schema of `verification.json`, for those who read it elsewhere.

`python -m videohub.reporting.json_schema > docs/schemas/verification.schema.json`
"""

from __future__ import annotations

import json

import msgspec

from videohub import metrics
from videohub.registry.json_schema import in_order
from videohub.reporting.verification_file import Verification

ID = "urn:videohub:verification"  # a name, not an address, as the registry's


def text() -> str:
    """Return the schema as the text of `verification.schema.json`."""
    _, defs = msgspec.json.schema_components([Verification], ref_template="#/$defs/{name}")
    for part in ("Protocol", "Verification"):
        defs[part]["properties"]["metric"] = {"enum": metrics.names()}
    whole = {**in_order(defs.pop("Verification")), "title": "A videohub verification"}
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": ID, **whole}
    return json.dumps({**schema, "$defs": in_order(dict(sorted(defs.items())))}, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(text(), end="")
