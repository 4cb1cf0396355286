"""Where the patterns of a scan were taken, corrected by what they show."""
