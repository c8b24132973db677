"""How an answer looks on the wire, whole and as a stream, in each of OpenAI's APIs that the ledger speaks."""
