"""A load of simulated stations on one machine, which keeps its own books of what they said and were answered.

`ledger` is what they know, `figures` how long they waited, `line` a connection, `station` how they insist on being heard,
`profiles` what they do, `roster` who they are, `run` all of them together.
"""
