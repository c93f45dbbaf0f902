"""Reading the answers of all providers: whose a line is, and what can be read of it. Pure."""
