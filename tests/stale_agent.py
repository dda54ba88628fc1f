"""A guest agent on a socket that still has answers for somebody who asked earlier and has gone."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Sequence
from pathlib import Path


def start_agent(path: Path, *, stale: Sequence[object], answer: str) -> None:
    """It says what is stale first; then it follows guest-sync, and says ``answer`` otherwise."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)

    def serve() -> None:
        connection, _ = listener.accept()
        with listener, connection, connection.makefile("rw") as stream:
            stream.writelines(json.dumps({"return": each}) + "\n" for each in stale)
            for line in stream:
                asked = json.loads(line)
                value = asked["arguments"]["id"] if asked["execute"] == "guest-sync" else answer
                stream.write(json.dumps({"return": value}) + "\n")
                stream.flush()

    threading.Thread(target=serve, daemon=True).start()
