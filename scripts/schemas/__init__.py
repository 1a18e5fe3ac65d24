"""The JSON Schemas of what ``--json`` prints: a type a line; docs/schemas is made from them."""
