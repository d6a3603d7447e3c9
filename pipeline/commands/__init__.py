"""The commands, one module each: options in, exit status out; `program.py` joins them to `fiat-color`."""
