"""Certificate signing requests, and the checks a certificate passes before it is used."""
