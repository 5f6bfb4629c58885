"""The floors of the house, which the architecture test holds and CONTRIBUTING shows: `python -m tests.floors`."""

from __future__ import annotations

# From the roof to the ground. A room is a module or a folder of videohub; rooms of one floor do not see each other.
FLOORS = [
    {"__main__"},
    {"cli"},
    {"terminal"},
    {"verification", "detection", "prediction", "feature_extraction", "timing", "exports", "diagnosis", "publishing"},
    {"loading"},
    {"evaluation", "cache_admin", "onnx_model", "preflight", "reporting"},
    {"known_answers"},
    {"detectors", "weights"},
    {"certificate"},
    {"building", "devices"},
    {"data", "models", "convert", "published_files"},
    {"registry"},
    {"storage"},
    {"hub"},
    {"architectures"},
    {"metrics"},
    {"runs"},
    {"resources", "files", "log", "pickles", "protocols", "worker_pool"},
    {"errors", "escaping", "formatting", "sinusoid", "value_types"},
    {"version"},
]


def plan() -> str:
    """Return the floors as CONTRIBUTING has them, one a line, from the roof down."""
    return "".join(f"    {' · '.join(sorted(rooms))}\n" for rooms in FLOORS)


if __name__ == "__main__":
    print(plan(), end="")
