"""Who may call: the access key, signatures, and callers that are refused."""
