"""The study: what is made from what, its keys, and whether today's source gives the same."""
