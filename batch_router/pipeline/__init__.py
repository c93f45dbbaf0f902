"""The road, in the order of travel: submit, convert, upload, create, poll, download, normalize, finish.

A step is one function over one item, `step(context, item) -> Outcome`. It talks to one provider or to storage and says
what happened; it publishes nothing and changes no state. `drive.advance` claims the item, runs its step, and commits.
"""
