"""Look and decide: the gallery over a whole output, and what people decide about single images.

`cards` reads what became of each source, `thumbnails` and `gallery` make the page of it, `decisions` keeps
what people decided, `server` serves both to one browser of this machine and answers (`handler`) what its
page asks for.
"""
