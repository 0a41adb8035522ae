"""Results as tables, figures and pictures."""
