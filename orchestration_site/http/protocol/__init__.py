"""uvicorn's HTTP protocol as we run it, below ASGI: slow clients, offers of other protocols, and the order to stop."""
