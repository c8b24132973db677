"""Stored chat completions, served from our own history. Source of the shapes: OpenAI's API reference."""
