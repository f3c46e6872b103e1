"""Score talking portraits: ADFD and the field's other figures, as pure functions and as shells that gather sums."""
