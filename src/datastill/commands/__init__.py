"""Commands that are no stage of DVC."""
