"""An independent ledger: an upstream that bills as OpenAI does, and what our rows say beside its bill.

Nothing in `tests.ledger.upstream` imports the product. See docs/ledger.md.
"""
