"""The parts that drawn people and their pictures are made of; `data.figures` is the door."""
