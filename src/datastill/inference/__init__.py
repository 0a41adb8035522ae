"""One image, many views, one prediction (section 4)."""
