"""One scan solved in shares: parallel passes, whose sums several processes can make."""
