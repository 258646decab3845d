"""The command line: what it prints, and one line for whatever cannot be."""

import os
import socket
import subprocess

import orjson
import pytest

from infrastructure.tokens import Tokens
from tests.commands import TIDINGS, tidings

SECRET = "a secret of the tests that is long enough"


def test_a_token_and_nothing_else(tmp_path):
    arguments = ["--role", "developer", "--user", "ann", "--tenant", "acme"]
    done = subprocess.run(
        [TIDINGS, "--data-dir", tmp_path, "token", *arguments],
        env=os.environ | {"JWT_SECRET_KEY": SECRET},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    caller = Tokens(SECRET).verify(done.stdout.strip())
    assert (caller.user, caller.role, caller.tenant) == ("ann", "developer", "acme")


def test_secrets_are_made_once_and_for_the_owner_alone(tmp_path):
    token = ("--data-dir", tmp_path, "token", "--role", "admin", "--user", "ann")
    assert tidings(*token).returncode == 0
    kept = tmp_path / "secrets" / "jwt_secret_key"
    assert kept.stat().st_mode & 0o777 == 0o600
    before = kept.read_text()
    assert tidings(*token).returncode == 0
    assert kept.read_text() == before


def test_the_specification_is_printed():
    done = tidings("openapi")
    assert done.returncode == 0
    assert orjson.loads(done.stdout)["info"]["title"] == "Tidings"


@pytest.fixture
def taken_port():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


@pytest.mark.parametrize(
    ("arguments", "environment", "names"),
    [
        (["serve", "--port", "0"], {"DATABASE_URL": "mysql://localhost/x"}, "DATABASE_URL"),
        (
            ["serve", "--port", "0"],
            {"DATABASE_URL": "postgresql://nobody:hush@127.0.0.1:1/x"},
            "DATABASE_URL",
        ),
        (["serve", "--port", "0"], {"REDIS_URL": "localhost:6379"}, "REDIS_URL"),
        (["serve", "--port", "0"], {"REDIS_URL": "redis://:hush@[::1"}, "REDIS_URL"),
        (["serve", "--port", "0"], {"REDIS_URL": "redis://:hush@localhost/cache"}, "REDIS_URL"),
        (["serve", "--port", "0"], {"REDIS_URL": "redis://:hush@localhost/1/2"}, "REDIS_URL"),
        (["serve", "--port", "0"], {"REDIS_URL": "redis://:hush@localhost:port/0"}, "REDIS_URL"),
        (
            ["serve", "--port", "0"],
            {"REDIS_URL": "redis://:hush@localhost:6379/0?db=x"},
            "REDIS_URL",
        ),
        (["serve", "--port", "0"], {"DATABASE_READ_URL": "hush"}, "DATABASE_READ_URL"),
        (
            ["serve", "--port", "0"],
            {"DATABASE_URL": "postgresql://tidings:hush@x/y?nothing=1"},
            "DATABASE_URL",
        ),
        (
            ["serve", "--port", "0"],
            {"DATABASE_URL": "postgresql://tidings:hush@[::1/x"},
            "DATABASE_URL",
        ),
        (["serve", "--port", "0"], {"RATE_LIMIT_PROFILE": "none"}, "RATE_LIMIT_PROFILE"),
        (["serve", "--port", "0"], {"ALLOW_PRIVATE_NETWORKS": "10.0.0.0/33"}, "ALLOW_PRIVATE"),
        (["serve", "--port", "0"], {"JWT_SECRET_KEY": "short"}, "JWT_SECRET_KEY"),
        *(
            (arguments, {name: f"{before}{'hush' * 10}\udcff"}, f"{name} must be UTF-8")
            for arguments, name, before in (
                (["token", "--role", "admin", "--user", "x"], "JWT_SECRET_KEY", ""),
                (["serve", "--port", "0"], "ENCRYPTION_KEY", ""),
                (["audit", "key"], "DATABASE_URL", "postgresql://"),
                (["asyncapi"], "PUBLIC_URL", "https://"),
            )
        ),
        (["serve", "--host", "nowhere.invalid"], {}, "nowhere.invalid"),
        (["token", "--role", "admin", "--user", "x", "--tenant", "Not A Slug"], {}, "tenant"),
        (["replay", "--from", "5", "--to", "2"], {}, "--to 2"),
        (["replay", "--at", "yesterday"], {}, "yesterday"),
        (["replay", "--at", "9999-12-31T23:59:59-10:00"], {}, "9999-12-31T23:59:59-10:00"),
        (["replay", "--stream", "x"], {}, "x"),
        (["state", "nonsense"], {}, "nonsense"),
        (["projections", "rebuild", "nothing"], {}, "nothing"),
    ],
)
def test_what_cannot_be_is_one_line_that_names_it(tmp_path, arguments, environment, names):
    tmp_path.chmod(0o711)
    done = tidings("--data-dir", tmp_path / "data", *arguments, **environment)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert names in done.stderr
    assert "hush" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_named(tmp_path, taken_port):
    done = tidings("--data-dir", tmp_path, "serve", "--port", taken_port)
    assert done.returncode == 1
    assert str(taken_port) in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unusable_directory_is_named(tmp_path):
    (tmp_path / "file").touch()
    done = tidings("--data-dir", tmp_path / "file", "serve", "--port", 0)
    assert done.returncode == 1
    assert str(tmp_path / "file") in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["token", "--role", "king", "--user", "x"],
        ["work", "--only", "nothing"],
        ["x"],
        ["replay", "--from", 2**63],
        ["replay", "--to", 2**63],
        ["state", "post_0195d3a2c4e87b6e9a1f0c5d2b7e4f60", "--version", 2**63],
        ["erase", os.fsdecode(b"twitter:\xff")],
    ],
)
def test_wrong_usage_is_status_2(tmp_path, arguments):
    done = tidings("--data-dir", tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stderr and "Traceback" not in done.stderr
