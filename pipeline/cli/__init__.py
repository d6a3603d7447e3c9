"""What all commands share: option parsing, logging, progress and the exit status."""
