"""The report of a run: for schedulers (summary.json), for the terminal, and as pictures (sheet and page).

`tally.RunTally` counts ledger tables as they arrive, `summary.Summary` is the record of the run,
`run_report.make_report` puts contact sheet and page into the run's folder.
"""
