"""Who is calling: API keys, the secrets that prove them, and the authentication of a request."""
