"""Several of DVC's stages at a time: which are ready, each in a process of its own, all in view."""
