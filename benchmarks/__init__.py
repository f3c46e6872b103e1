"""Programs that measure the project and write the figures of its documents.

Every module here is a program, run from the root of the repository as `python -m benchmarks.NAME`; `python -m
benchmarks` lists them. What programs share lies in `benchmarks.parts`.
"""
