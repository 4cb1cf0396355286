"""The options of the commands, each declared once, and the words that they take."""
