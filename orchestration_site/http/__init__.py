"""What each HTTP request passes before it reaches a view, and each answer on its way back: our part of the ASGI stack.

A request passes these in order; `orchestration_site.asgi` puts them together:

1. `protocol.slow_clients`: the connection. It answers 408 to a request that arrives too slowly, and 431 to headers that
   are too long. With `protocol.upgrade_offers` it ignores offers to go on in another protocol.
2. `request_id`: gives each request an id, and puts it on the answer.
3. `addresses`: gives each address of the API its standard form, Azure's among them.
4. `proxies`: finds out who the client is when the request came by a trusted proxy.
5. `bodies.body_limit`: answers 413 to a body that is too large.
6. `door_dispatcher`: hands a POST to a door straight to its view. All other requests go on:
7. `bodies.measured_bodies`: gives a body that came in chunks its length.
8. `static_files`: serves scripts and styles.
9. Django, with the middleware of `browsers.security`, and the `errors` for requests that no view has answered.
"""
