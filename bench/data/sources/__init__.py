"""Images where they lie: files of a folder, members of tar shards; one pass over them, and reading.

`places` says where images lie, `survey` lists, checks and hashes them in one pass, `located` finds
and decodes any of them.
"""
