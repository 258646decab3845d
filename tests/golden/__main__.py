"""Accepts new events and new versions of events into the golden file."""

import sys

from tests.golden import accept

try:
    new = accept()
except ValueError as refused:
    sys.exit(f"Not accepted, since stored events would be lost:\n{refused}")
print("\n".join(f"{topic}, version {version}" for topic, version in new) or "Nothing is new.")
