"""The `tidings` command line.

Exit status 0: done; 1: refused, or something does not hold; 2: usage. Errors are one line on
standard error. Commands import what they need when they run, so that each starts quickly.
"""

import gc
import sys

import typer

from api.cli import auditing, house, persons, reading, serving, showing, specifications, webhooks

app = typer.Typer(
    name="tidings",
    help="One event-sourced backend for what a company says to its customers and hears from them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.callback()(house.options)
app.command()(serving.serve)
app.command()(serving.work)
app.command()(house.token)
app.command()(reading.replay)
app.command()(reading.state)
app.command()(showing.demo)
app.add_typer(showing.projections, name="projections")
app.add_typer(auditing.audit, name="audit")
app.add_typer(webhooks.webhooks, name="webhooks")
app.command()(persons.erase)
app.add_typer(persons.keys, name="keys")
app.command()(specifications.openapi)
app.command()(specifications.asyncapi)


def main() -> None:
    """Entry point of the command."""
    gc.set_threshold(50_000, 20, 20)  # reading in makes what stays: no need to look so often
    for argument in sys.argv[1:]:
        if any("\udc80" <= each <= "\udcff" for each in argument):  # what Python makes of it
            print(f"tidings: {argument!a} is not UTF-8.", file=sys.stderr)  # noqa: T201
            sys.exit(2)
    try:
        app()
    except SystemExit:
        raise  # how every command ends: no need to read in what the errors below would need
    except KeyboardInterrupt:
        sys.exit(1)
    except house.usage_errors() as error:
        print(f"tidings: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
