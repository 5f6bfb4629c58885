"""`python -m videohub` is `videohub`."""

from videohub.cli import main

main()
