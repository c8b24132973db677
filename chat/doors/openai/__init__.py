"""The OpenAI protocol as one more door: `/v1/…`, for any program that was written for OpenAI."""
