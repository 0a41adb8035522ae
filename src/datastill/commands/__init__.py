"""Commands that are not DVC stages."""
