"""What every job does at the command line: parsers, the log, progress, the exit status."""
