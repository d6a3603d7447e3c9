"""Review: the gallery of a whole output, and people's decisions about single images.

`cards` reads the outcome of each source, `thumbnails` and `gallery` make the page, `decisions` stores
decisions, and `server` serves both to one browser on this machine and answers its requests (`handler`).
"""
