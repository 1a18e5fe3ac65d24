"""What gap modules share, and parts of those that would be too long for one file."""
