"""The command line: ``semiseg VERB``. Exit code 2 for wrong input, 1 for a failure of ours."""

import errno
import sys

import typer

from semiseg.cli import benchmark, demo, evaluate, listing, predict, prepare, report, train
from semiseg.errors import RunFailure, UserError

app = typer.Typer(
    name="semiseg",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A few labelled medical images and many unlabelled ones, turned into a trained, measured, "
    "usable segmenter. Every verb explains itself: semiseg VERB --help. With --debug an error "
    "shows its traceback.",
)
app.command("demo")(demo.demo)
app.command("prepare")(prepare.prepare)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("benchmark")(benchmark.benchmark)
app.command("report")(report.report)
app.command("methods")(listing.methods)
app.command("presets")(listing.presets)


def main() -> None:
    """Run the command line and turn errors into one sentence and an exit code."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app()
    except (UserError, RunFailure) as error:
        if debug:
            raise
        print(f"semiseg: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UserError) else 1)
    except KeyboardInterrupt:
        print("semiseg: stopped; a training goes on with --resume.", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if debug or error.errno not in (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT):
            _failure(error, debug)
        where = f"{error.filename}: " if error.filename else ""
        print(f"semiseg: {where}{error.strerror}: make room or choose another folder.", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        _failure(error, debug)


def _failure(error: Exception, debug: bool) -> None:
    if debug:
        raise error
    print(
        f"semiseg: this is a failure of semiseg, not of yours ({type(error).__name__}: {error}); "
        "repeat the command with --debug for the traceback.",
        file=sys.stderr,
    )
    sys.exit(1)


if __name__ == "__main__":
    main()
