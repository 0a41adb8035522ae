"""A project on disk: params.yaml, its profiles and their files."""
