"""Where a number comes from, as results/, dvc.lock and git tell it, and whether that holds."""
