"""One room per colouring method, `base` the door they share, `registry` on top."""
