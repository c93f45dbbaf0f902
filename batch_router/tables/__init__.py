"""Tables: rows of a file or of a program become requests, and answers become columns beside them.

Rows are mappings of column names to values, one at a time. A further kind of table is one more reader (`reading`) or
one more writer (`writing`).
"""
