"""The report of a run: for a scheduler (summary.json), for a terminal, and for the eye (sheet and page).

`tally.RunTally` counts ledger tables as they come, `summary.Summary` is the record of the run,
`gallery.make_report` puts contact sheet and page into the run's folder.
"""
