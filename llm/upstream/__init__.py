"""The way to the providers: one HTTP request for each attempt, its answer or stream, and what is learned on the way."""
