"""One package per colouring method. The packages share layers but do not import each other."""
