"""The command line: ``semiseg VERB``. Exit code 2 for wrong input, 1 for a failure of ours."""

import errno
import sys
from typing import Any, NoReturn

import typer

from semiseg import __version__
from semiseg.cli import (
    benchmark,
    demo,
    embeddings,
    evaluate,
    inspect,
    listing,
    pack,
    predict,
    prepare,
    report,
    run,
    train,
    unpack,
)
from semiseg.errors import RunFailure, UserError

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
RESUMABLE = ("demo", "run", "prepare", "predict", "benchmark")  # train says itself how it goes on
INTERRUPTED = 130  # what a shell says of a command stopped by Ctrl-C

app = typer.Typer(
    name="semiseg",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A few labelled medical images and many unlabelled ones, turned into a trained, measured, "
    "usable segmenter. Every verb explains itself: semiseg VERB --help. With --debug an error "
    "shows its traceback; semiseg --version says which this is.",
)
VERBS = (
    demo.demo, run.run, prepare.prepare, inspect.inspect, pack.pack, unpack.unpack, train.train,
    evaluate.evaluate, predict.predict, benchmark.benchmark, report.report, embeddings.embeddings,
    listing.methods, listing.networks, listing.datasets, listing.presets,
)  # fmt: skip
for verb in VERBS:
    # typer would break a paragraph where the docstring's lines end
    paragraphs = (verb.__doc__ or "").split("\n\n")
    app.command(help="\n\n".join(" ".join(lines.split()) for lines in paragraphs))(verb)


def main() -> None:
    """Run the command line and turn errors into one sentence and an exit code."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    if sys.argv[1:] == ["--version"]:
        print(f"semiseg {__version__}")
        return
    try:
        # typer would answer in boxes of several lines; here every error is one line
        code = app(prog_name="semiseg", standalone_mode=False)
    except (UserError, RunFailure) as error:
        if debug:
            raise
        print(f"semiseg: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UserError) else 1)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except OSError as error:
        if debug or error.errno not in UNWRITABLE:
            _failure(error, debug)
        where = f"{error.filename}: " if error.filename else ""
        print(
            f"semiseg: {where}{error.strerror}: make room or choose another folder.",
            file=sys.stderr,
        )
        sys.exit(2)
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's own errors, whichever class it gives them
            _misuse(error)
        _failure(error, debug)
    if code == INTERRUPTED:
        verb = sys.argv[1] if len(sys.argv) > 1 else ""
        goes_on = "; the same command goes on" if verb in RESUMABLE else ""
        print(f"semiseg: stopped{goes_on}.", file=sys.stderr)
    sys.exit(code if isinstance(code, int) else 0)


def _misuse(error: Any) -> NoReturn:
    """One line for an unknown verb or option, or a value that an option does not take."""
    if type(error).__name__ == "NoArgsIsHelpError":  # the help was printed
        sys.exit(2)
    message = " ".join(error.format_message().split())
    option, near = getattr(error, "option_name", ""), getattr(error, "possibilities", None)
    if near:
        message = f"No such option {option}, did you mean {' or '.join(sorted(near))}?"
    context = getattr(error, "ctx", None)
    verb = f"{context.command_path} " if context else "semiseg "
    end = "" if message.endswith(("?", ".")) else "."
    print(f"semiseg: {message}{end} See '{verb}--help'.", file=sys.stderr)
    sys.exit(2)


def _failure(error: Exception, debug: bool) -> NoReturn:
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
