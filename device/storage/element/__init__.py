"""Keys in a secure element, through PKCS #11: the binding, the token, the key store."""
