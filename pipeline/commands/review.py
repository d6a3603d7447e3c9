"""Look at all results of an output, and decide about them. See `--help` and docs/review.md."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor

from pipeline.cli.command import JobParser, exit_status
from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.errors import EXIT_DONE
from pipeline.review.page_requests import Preview
from pipeline.review.review import ReviewRequest, run_review
from pipeline.storage import Store

EPILOG = """\
examples: fiat-color review colored/            # write colored/gallery/index.html
          fiat-color review colored/ --serve    # also accept decisions from the browser

Writes only below OUTPUT/gallery/ and OUTPUT/decisions/. With --apply it also removes the files of rejected
images, records that in the ledger, and colours corrected images again with the settings of the last run. Run
it again after each colouring run; it writes only the missing thumbnails.
Exit status: 0 done; 3 done, some images failed; 1 did not finish, run it again; 2 bad usage or configuration.
"""


def make_parser() -> JobParser:
    """Build the command-line parser."""
    parser = JobParser(
        description="Show every image of an output before and after, and record and apply decisions.",
        epilog=EPILOG,
        config="YAML; the one used for colouring works",
        shipped="colorize",
    )
    parser.add_places(output="the output of colouring runs")
    parser.add_argument("--input", metavar="URI", help="the sources; default: where the last run read them")
    parser.add_argument("--decisions", metavar="FILE", help="import a decisions file that the page saved")
    parser.add_argument(
        "--apply",
        action="store_true",
        help="apply the decisions: remove the results of rejected images, colour corrected ones again",
    )
    parser.add_argument("--serve", action="store_true", help="serve the gallery to a browser on this machine")
    parser.add_argument("--who", metavar="NAME", help="name for the decisions; default: the account's name")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="port to serve at; default: any")
    return parser


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser()
    args = parser.parse_args(argv)
    if not 0 <= args.port <= 65535:
        parser.error(f"argument --port: {args.port} is not a port: give 0 to 65535")
    return args


def open_preview(source: Store, out: Store, config: JobConfig) -> Preview:
    """Return a function that colours previews. The network loads in a thread, so the page opens quickly."""

    def load() -> Preview:
        from pipeline.shard.preview import Previewer

        return Previewer(source, out, config)

    with_network = ThreadPoolExecutor(1, "preview").submit(load)
    return lambda card, correction, lender: with_network.result()(card, correction, lender)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    args = parse(argv)

    def work() -> int:
        loaded = load(JobConfig, args.config, args.overrides)

        def redo() -> tuple[int, str]:
            from pipeline.run.redo import recolor_decided

            outcome = recolor_decided(args.output, loaded, args.input)
            nothing = outcome.summary is None and outcome.exit_status == EXIT_DONE
            return outcome.exit_status, "" if nothing else outcome.message

        request = ReviewRequest(
            args.output,
            loaded,
            args.input,
            args.decisions,
            args.apply,
            args.serve,
            args.who,
            args.port,
            redo=redo,
            open_preview=open_preview,
        )
        return run_review(request)

    return exit_status(work, args.log_format)
