"""`python -m datastill`: the command line, for those who start Python themselves."""

from datastill.cli import main

main()
