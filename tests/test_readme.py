"""The README's tour, typed in as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_killed import free_port, served

README = Path(__file__).parents[1] / "README.md"


def tour() -> str:
    text = README.read_text().partition("## A tour")[2].partition("## Where things are")[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))


@pytest.mark.slow
def test_the_tour_works_literally(tmp_path):
    tmp_path.chmod(0o711)
    data_dir, port = tmp_path / "data", free_port()
    bin = Path(sys.executable).parent
    script = tour().replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    script = script.replace('export PATH="$PWD/.venv/bin:$PATH"', f'export PATH="{bin}:$PATH"')
    with served(data_dir, port):
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=tmp_path,
            env=os.environ | {"TIDINGS_DATA_DIR": str(data_dir)},
            capture_output=True,
            text=True,
            timeout=120,
        )
    # curl ends the stream after the seconds that it was given, with status 28.
    assert done.returncode == 0, done.stderr + done.stdout
    said = done.stdout
    for expected in (
        '"status":"published"',
        '"provider":"sandbox"',
        '"comments_preview":[',
        '"status":"withdrawn"',
        '"schedule_preview":[',
        '"scheduled_posts":2',
        "utm_campaign=spring",
        '"mention_id":"men_',
        '"posted_to_platform":true',
        '"trending_hashtags":[',
        '"total_posts":',
        "social.post.withdrawn",
        '"kind": "social.post"',
        "is built anew",
        "event: social.post.published",
    ):
        assert expected in said, expected
