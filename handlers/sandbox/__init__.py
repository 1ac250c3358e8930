"""What users store and the server runs: JSON Schemas, patterns, templates. It runs in a child process, where it can be stopped.

pool.py is the server's side; child.py and all else here runs in the child, which sees no database, setting or secret.
A folder of its own, because the child imports it and nothing else of ours, and nothing in it but pool.py may import the server.
"""
