"""Images and annotations, on disk and in memory."""
