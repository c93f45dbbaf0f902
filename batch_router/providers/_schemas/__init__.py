"""JSON schemas in the forms that providers accept. Pure.

A schema of a user is never refused for a keyword that a provider does not have: the keyword goes into the description,
where the model reads it, and is counted. The answer is checked against the user's own schema in any case.
"""
