"""Decoding of what came from outside, in child processes that may do nothing else.

A server process starts one nursery (`nursery`), a clean program without settings or secrets
that loads the decoders once and forks children on demand. Each child reads files one after
another under limits of memory, time, output and open files (`lockdown`), and is replaced
after some files, when it has grown, when it takes too long and when it dies. `pool` keeps
them, `jobs` is what they can be asked, `calls` is how the rest of the product asks.
"""
