"""Workflows as the pack shipped them once, reduced to nodes and wires, and values of somebody who moved every dial.

Each file says of which commit it is, and what each value was called then.
"""

import json
from pathlib import Path

OLD = {path.stem: json.loads(path.read_text()) for path in sorted(Path(__file__).parent.glob("*.json"))}

RENAMED = {"strength": "reference_scale"}
"""Inputs that have another name now; a file knows a value by its place."""
