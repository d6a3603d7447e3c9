"""Export the ledger of an output in archival formats. See `--help` and docs/export.md."""

from __future__ import annotations

import argparse

from pipeline.cli.command import JobParser, exit_status
from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.export.export_ledger import FORMATS, ExportRequest, run_export
from pipeline.export.iiif_places import IiifPlaces

EPILOG = """\
example: fiat-color export colored/ --format premis --to premis.xml

Only reads the output and never overwrites a file. Export while no colouring run is working on it.
Exit status: 0 exported; 3 files differ from the ledger: nothing is exported, and TO.findings.csv lists them;
1 did not finish, run it again; 2 bad usage or configuration.
"""


def make_parser() -> JobParser:
    """Build the command-line parser."""
    parser = JobParser(
        description="Export the ledger: a row per source image (csv), preservation metadata (premis), the "
        "coloured images with both (bagit), or manifests for viewers (iiif).",
        epilog=EPILOG,
        config="YAML; the one used for colouring works",
        shipped="colorize",
    )
    parser.add_places(output="the output of colouring runs")
    parser.add_argument("--format", required=True, choices=FORMATS)
    parser.add_argument(
        "--to", required=True, metavar="URI", help="the file to make; bagit: a local folder; iiif: a folder"
    )
    parser.add_argument("--prefix", default="", metavar="TEXT", help="premis: prefix for each originalName")
    parser.add_argument(
        "--bag-info", action="append", default=[], metavar="LABEL=VALUE", help="bagit: more tags"
    )
    _add_iiif(parser.add_argument_group("IIIF manifests, which contain web addresses"))
    return parser


def _add_iiif(group: argparse._ArgumentGroup) -> None:
    places = {
        "base": "where the export will be published",
        "images": "where the output is published",
        "sources": "where the scans are published",
        "image-service": "IIIF Image API 3 server of the output's tiff_pyramid derivatives",
        "source-service": "IIIF Image API 3 server of the scans",
    }
    for name, text in places.items():
        group.add_argument(f"--{name}", metavar="URL", help=text)
    group.add_argument("--rights", metavar="URI", help="of creativecommons.org or rightsstatements.org")
    group.add_argument("--attribution", metavar="TEXT", help="a line that viewers must show")
    group.add_argument("--label", metavar="TEXT", help="name of the collection; default: the output's")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    return make_parser().parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    args = parse(argv)

    def work() -> int:
        loaded = load(JobConfig, args.config, args.overrides)
        places = IiifPlaces(
            args.base,
            args.images,
            args.sources,
            args.image_service,
            args.source_service,
            args.rights,
            args.attribution,
        )
        return run_export(
            ExportRequest(
                args.output,
                args.format,
                args.to,
                loaded,
                args.prefix,
                tuple(args.bag_info),
                places,
                args.label,
            )
        )

    return exit_status(work, args.log_format)
