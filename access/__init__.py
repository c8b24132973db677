"""Who may call: API keys with their scopes and models, and the limits that each key or client address has.

It knows nothing of calls, models or statistics; `chat` asks it who is calling, and whether one more call is admitted.
"""
