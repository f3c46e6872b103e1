"""Score videos of talking faces and report the scores; make and score the people benchmark.

Four rooms, each of which imports only from those after it: `benchmark`, `report`, `scoring`, `data`. Beside them
`engine` runs many jobs here or on a Ray cluster.
"""
