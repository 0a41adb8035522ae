"""Images: files and folders, geometry, hashes, splits, leaks and contact sheets."""
