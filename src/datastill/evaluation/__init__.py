"""Average precision, and how sure it is."""
