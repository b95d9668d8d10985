#!/usr/bin/env python3
"""Copies the golden vectors into the corpora of the fuzz targets: a good start is half the way."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT / "strata-proto/vectors/control"
GROUPS = {
    "proto_agent_envelope": ["agent"],
    "proto_control_envelope": ["control"],
    "proto_live": ["live_request", "live_frame"],
    "proto_receiver": ["receiver_command", "receiver_event"],
    "proto_rest": ["rest"],
}

for target, groups in GROUPS.items():
    corpus = ROOT / "fuzz/corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    for file in (f for group in groups for f in VECTORS.glob(f"*/{group}/*/*.json")):
        content = json.loads(file.read_text())
        message = content if "valid" in file.parts else content.get("text", content.get("input"))
        text = message if isinstance(message, str) else json.dumps(message)
        corpus.joinpath("-".join(file.relative_to(VECTORS).parts)).write_text(text)
