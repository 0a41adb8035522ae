"""A teacher's predictions on unlabelled images become annotations (paper section 3)."""

import datastill.model  # noqa: F401  imports torchvision in half the time
