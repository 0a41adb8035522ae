"""The origin of a number, according to results/, dvc.lock and git, and its verification."""
