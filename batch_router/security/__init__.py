"""What keeps others out, one place for each kind of harm; the rest of the package goes through these.

printable   text from outside on a terminal, in a log, in an error
masking     secrets in errors, representations and reports
logs        the loggers of this package
paths       names of objects that become paths
files       what others on this machine may have prepared: input files, the home, private files
names       what names may consist of that become part of a path, a variable or a key
redis_url   URLs of Redis servers, and clients for them
"""
