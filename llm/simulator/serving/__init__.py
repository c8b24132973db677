"""How the simulator talks HTTP: its server, in an event loop or in a thread, and one request with its answer."""
