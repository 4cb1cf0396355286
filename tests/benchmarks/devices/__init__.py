"""What `make gpu` looks at: one module a theme, each task a function that says what it saw."""
