"""The parts of drawn scenes: people, objects, backgrounds and the camera."""
