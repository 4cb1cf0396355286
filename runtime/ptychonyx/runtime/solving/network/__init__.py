"""A network that corrects the object after each pass; it sees images on the canvas, never patterns."""
