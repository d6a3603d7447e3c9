"""One room for each colouring method. Rooms share layers with each other, and do not import each other."""
