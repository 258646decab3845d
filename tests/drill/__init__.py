"""The fault drill: everything is killed, delayed, rolled back and maintained, again and again, and
at the end nothing may be lost, passed by, or have happened twice.

`python -m tests.drill --minutes 30` runs it on a server of its own; a short one is in the suite.
"""
