"""An upstream that speaks OpenAI's protocol on a real socket and bills each request by OpenAI's published rules.

It imports nothing of the product: neither its prices, nor its token counts, nor its simulator.
"""
