"""The pipeline: a module per DVC stage, which reads files, calls the layers and writes files."""
