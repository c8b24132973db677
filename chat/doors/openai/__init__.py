"""The doors of the OpenAI protocol, under `/v1`: any program that was written for OpenAI can use them."""
