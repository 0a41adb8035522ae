"""`python -m datastill`: the command line without its entry point."""

from datastill.cli import main

main()
