"""What archivists say of single images: scribbles, references, styles, methods."""
