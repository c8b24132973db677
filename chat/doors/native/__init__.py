"""The native doors: POST /chat, /chat/parallel, /chat/fallback and /chat/stream."""
