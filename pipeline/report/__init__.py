"""Report: what a run says of itself, to a scheduler (summary.json), to a terminal, and to the eye.

`Tally` counts ledger tables as they come, `Summary` is the record of the run, `make_report` puts the contact
sheet and the page under `runs/<run id>/report/`.
"""

from __future__ import annotations

from pipeline.report.drift import Chroma, Reference, reference_for
from pipeline.report.gallery import ReportKeys, make_report
from pipeline.report.page import report_html
from pipeline.report.sheet import Pair, contact_sheet
from pipeline.report.summary import (
    ADVICE,
    Balance,
    Cost,
    FailureGroup,
    Seconds,
    StageSeconds,
    Summary,
    balance,
    headline,
    software_versions,
    summary_json,
    summary_key,
    summary_text,
)
from pipeline.report.tally import Tally

__all__ = [
    "ADVICE",
    "Balance",
    "Chroma",
    "Cost",
    "FailureGroup",
    "Pair",
    "Reference",
    "ReportKeys",
    "Seconds",
    "StageSeconds",
    "Summary",
    "Tally",
    "balance",
    "contact_sheet",
    "headline",
    "make_report",
    "reference_for",
    "report_html",
    "software_versions",
    "summary_json",
    "summary_key",
    "summary_text",
]
