"""One image, many views, one prediction (section 4)."""

import datastill.model  # noqa: F401  imports torchvision in half the time
