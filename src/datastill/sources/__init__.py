"""Where image sets come from."""
