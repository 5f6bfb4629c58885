"""torch.hub entries, one for each record that can be had, under its id, its aliases and its upstream name.

torch.hub.load("org/videohub", "slowfast_r50_8x8", pretrained=True, trust_repo=True)
"""

import importlib.util
import sys
from pathlib import Path as _Path  # torch.hub lists every public name here that can be called

dependencies = [  # what building and loading import; a test compares
    "filelock",
    "huggingface_hub",
    "msgspec",
    "numpy",
    "requests",
    "torch",
    "torchvision",
    "tqdm",
    "urllib3",
    "yaml",
]

_STATUSES = ("available", "manual")  # of the latter, `checkpoint` takes a copy that somebody downloaded
_HERE = _Path(__file__).resolve().parent


def _refuse_another_videohub():
    """The code beside this file is what was asked for; an installed copy, or another's package, would hide it."""
    loaded = sys.modules.get("videohub")
    place = loaded.__file__ if loaded else importlib.util.find_spec("videohub").origin
    folder = _Path(place or "").resolve().parent.parent
    if folder != _HERE:
        version = f" {loaded.__version__}" if hasattr(loaded, "__version__") else ""
        raise ImportError(
            f"videohub{version} from {folder} hides the one that torch.hub was asked for, in {_HERE}. "
            "Uninstall it (`pip uninstall videohub` if it is somebody else's package of that name), or start a process "
            "that has not imported it, or, if it is ours, use it directly: videohub.load(name)."
        )


def _entry(name, record):
    def entry(pretrained=False, progress=True, *, checkpoint=None, num_classes=None, labels=None, device="cpu"):
        _refuse_another_videohub()
        import videohub

        if pretrained or checkpoint is not None:
            return videohub.load(
                record.name, checkpoint=checkpoint, num_classes=num_classes, labels=labels, device=device
            )
        return videohub.build(record.name, num_classes=num_classes, labels=labels).to(device)

    entry.__name__ = entry.__qualname__ = name
    entry.__doc__ = f"""{record.upstream_name} ({record.protocol.dataset}): {record.number or "no published number"}.

    Args:
        pretrained: Load the published weights; otherwise the network starts at random.
        progress: Kept for torch.hub's sake; a bar shows on a terminal only.
        checkpoint: A file of one's own, such as a copy of the published one, instead of its URL.
        num_classes: Replace a classifier of another size by a new one.
        labels: What the outputs are called: names, or a file of them.
        device: Where to put the model.
    Returns: a module that takes a clip (B, 3, {record.clip.frames}, H, W) and gives logits.
    """
    return entry


def _entries():
    """Return the entries by name: ids, aliases, and upstream names, unless it is open which record one means."""
    from videohub import registry
    from videohub.errors import AmbiguousNameError

    known = registry.default()
    available = [record for record in known.records.values() if record.status in _STATUSES]
    entries = {}
    for upstream_name in dict.fromkeys(record.upstream_name for record in available):
        try:
            record = known.find(upstream_name)
        except AmbiguousNameError:
            continue
        if record.status in _STATUSES:
            entries[upstream_name] = _entry(upstream_name, record)
    return entries | {name: _entry(name, record) for record in available for name in (record.name, *record.aliases)}


# Without these libraries there are no entries, and torch.hub's own check then names what is missing.
if all(importlib.util.find_spec(name) for name in dependencies):
    sys.path.insert(0, str(_HERE))
    try:
        _refuse_another_videohub()
        globals().update(_entries())
    finally:
        sys.path.remove(str(_HERE))
