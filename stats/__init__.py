"""Statistics of the calls: GET /stats, and the hourly roll-ups that make it fast.

Three words have one meaning each here. An *aggregate* is what the database has added up over some calls and their
attempts. A *roll-up* is the stored aggregate of one hour. The *statistics* are what /stats answers.
"""
