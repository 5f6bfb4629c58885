"""What a wheel holds that the checkout does not: the registry as it was read, so that no process reads it again."""

import sys
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledRegistry(BuildHookInterface):
    """Adds `videohub/_data/registry.msgpack`."""

    def initialize(self, version, build_data):
        """Compile the registry of this checkout; an editable install reads it, and keeps it in the cache."""
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        try:
            from videohub import registry, resources
            from videohub.registry import compiled
        finally:
            sys.path.remove(self.root)
        file = Path(self.directory) / compiled.NAME
        file.parent.mkdir(parents=True, exist_ok=True)
        root = resources.registry_file()
        file.write_bytes(compiled.encoded([root], registry.load(root)))
        build_data["force_include"][str(file)] = f"videohub/_data/{compiled.NAME}"
