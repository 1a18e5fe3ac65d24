"""What the machines are driven by: the connection, the journal, the clock, the retries."""
