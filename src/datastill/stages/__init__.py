"""The pipeline: a module per DVC stage, which reads files, asks the layers and writes files."""
