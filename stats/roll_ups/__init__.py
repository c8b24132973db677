"""Roll-ups: the aggregates of each closed hour are stored, so that /stats does not read its calls again."""
