"""The command line, ``semiseg COMMAND``. Exit code 2: wrong input. Exit code 1: other failures."""

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
from semiseg.errors import RunFailure, UserError, is_out_of_memory

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
RESUMABLE = ("demo", "run", "prepare", "predict", "benchmark")  # train prints its own hint
INTERRUPTED = 130  # a shell's exit code for a command stopped by Ctrl-C

app = typer.Typer(
    name="semiseg",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train a segmentation network from a few labelled and many unlabelled medical images, "
    "evaluate it and segment new images. For the options of a command, run semiseg COMMAND --help. "
    "To see the traceback of an error, add --debug. For the version, run semiseg --version.",
)
VERBS = (
    demo.demo, run.run, prepare.prepare, inspect.inspect, pack.pack, unpack.unpack, train.train,
    evaluate.evaluate, predict.predict, benchmark.benchmark, report.report, embeddings.embeddings,
    listing.methods, listing.networks, listing.datasets, listing.presets,
)  # fmt: skip
for verb in VERBS:
    # typer keeps the line breaks of a docstring: join the lines of each paragraph
    paragraphs = (verb.__doc__ or "").split("\n\n")
    app.command(help="\n\n".join(" ".join(lines.split()) for lines in paragraphs))(verb)


def main() -> None:
    """Run the command line. An error becomes one sentence and an exit code."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    if sys.argv[1:] == ["--version"]:
        print(f"semiseg {__version__}")
        return
    try:
        # typer prints errors in boxes of several lines; here every error is one line
        code = app(prog_name="semiseg", standalone_mode=False)
    except (UserError, RunFailure) as error:
        if debug:
            raise
        print(f"semiseg: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UserError) else 1)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG and not debug:
            name = str(error.filename)
            short = name if len(name) <= 80 else f"{name[:40]}...{name[-20:]}"
            print(f"semiseg: {short} is too long for the name of a file.", file=sys.stderr)
            sys.exit(2)
        if debug or error.errno not in UNWRITABLE:
            _out_of_memory(error, debug)
            _failure(error, debug)
        where = f"{error.filename}: " if error.filename else ""
        print(
            f"semiseg: {where}{error.strerror}: make room or choose another folder.",
            file=sys.stderr,
        )
        sys.exit(2)
    except Exception as error:
        if hasattr(error, "format_message"):  # an error of typer, of any class
            _misuse(error)
        _out_of_memory(error, debug)
        _failure(error, debug)
    if code == INTERRUPTED:
        verb = sys.argv[1] if len(sys.argv) > 1 else ""
        hint = "; to resume, run the same command again" if verb in RESUMABLE else ""
        print(f"semiseg: stopped{hint}.", file=sys.stderr)
    sys.exit(code if isinstance(code, int) else 0)


def _misuse(error: Any) -> NoReturn:
    """Print one line for an unknown command or option, or an invalid value; exit with code 2."""
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


def _out_of_memory(error: Exception, debug: bool) -> None:
    """Print what to do if the memory does not suffice; exit with code 1."""
    if is_out_of_memory(error) and not debug:
        print(
            "semiseg: out of memory (CPU or GPU): reduce the image size (data.size, data.patch, "
            "--max-side) or training.batch_size.",
            file=sys.stderr,
        )
        sys.exit(1)


def _failure(error: Exception, debug: bool) -> NoReturn:
    if debug:
        raise error
    print(
        f"semiseg: internal error ({type(error).__name__}: {error}); "
        "to see the traceback, run the command again with --debug.",
        file=sys.stderr,
    )
    sys.exit(1)


if __name__ == "__main__":
    main()
