"""Average precision with intervals, and the quality of generated annotations."""
