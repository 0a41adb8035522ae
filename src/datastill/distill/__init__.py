"""Annotations from a teacher's predictions on unlabelled images (paper section 3)."""
