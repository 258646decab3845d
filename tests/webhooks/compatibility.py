"""What has been published stays readable: payload schemas against those of earlier releases.

`python -m tests.webhooks.compatibility` adds what is new to the snapshot; it breaks nothing.
"""

import json
import sys
from pathlib import Path
from typing import Any

from application.webhooks.catalogue import WEBHOOKS

SNAPSHOT = Path(__file__).parents[1] / "contract" / "webhooks.json"

Schemas = dict[str, dict[str, Any]]

TELLING = ("type", "format", "const", "enum", "items", "anyOf", "additionalProperties")
"""What a receiver's code depends on; the rest of a schema is for people."""


def published() -> Schemas:
    """The payloads of this release: version and schema by event."""
    return {
        name: {
            "version": webhook.version,
            "schema": webhook.payload.model_json_schema(mode="serialization"),
        }
        for name, webhook in sorted(WEBHOOKS.items())
    }


def stored() -> Schemas:
    """The payloads as they were published."""
    return json.loads(SNAPSHOT.read_text())  # type: ignore[no-any-return]


def breaks(before: Schemas, now: Schemas) -> list[str]:
    """What a receiver that was written against `before` would stumble over, one line each."""
    found = []
    for name, old in before.items():
        if name not in now:
            found.append(f"{name} is gone")
        else:
            found += _object(
                name, old["schema"], now[name]["schema"], old["schema"], now[name]["schema"]
            )
    return sorted(found)


def _object(
    path: str, old: dict[str, Any], new: dict[str, Any], old_root: Any, new_root: Any
) -> list[str]:
    found = []
    for name, old_field in old.get("properties", {}).items():
        place = f"{path}.{name}"
        if name not in new.get("properties", {}):
            found.append(f"{place} is gone")
            continue
        old_part = _resolved(old_field, old_root)
        new_part = _resolved(new["properties"][name], new_root)
        if _told(old_part) != _told(new_part):
            found.append(f"{place} is not what it was")
        else:
            found += _object(place, old_part, new_part, old_root, new_root)
            if name in old.get("required", ()) and name not in new.get("required", ()):
                found.append(f"{place} may be missing now")
    return found


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return root["$defs"][schema["$ref"].rpartition("/")[2]]  # type: ignore[no-any-return]
    return schema


def _told(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: schema[key] for key in TELLING if key in schema}


def main() -> int:
    now = published()
    if SNAPSHOT.exists() and (broken := breaks(stored(), now)):
        print("\n".join(broken))
        return 1
    SNAPSHOT.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
