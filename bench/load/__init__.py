"""What sends requests to a server under test, and measures how it answers them."""
