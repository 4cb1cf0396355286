"""How commands meet people: what they print and show, and how Ctrl-C ends them."""
