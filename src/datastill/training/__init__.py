"""One trainer for teacher and student."""
