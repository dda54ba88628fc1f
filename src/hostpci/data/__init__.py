"""Files that ship with the program: read as they are, never written."""

from __future__ import annotations

from typing import Any


def document(name: str) -> Any:  # noqa: ANN401  (whatever the document holds)
    """The JSON document ``name`` of this directory, also out of a zip archive."""
    import json
    import os

    loader: Any = __spec__.loader
    return json.loads(loader.get_data(os.path.join(os.path.dirname(__file__), name)))
