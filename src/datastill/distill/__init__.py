"""A teacher's predictions on unlabelled images become annotations (paper section 3)."""
