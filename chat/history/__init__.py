"""Reading the call history: GET /calls and GET /calls/{request_id}, and what a key has spent."""
