"""OpenAI's APIs as the simulator serves them: for each, the reading of a request, and the shape of an answer."""
