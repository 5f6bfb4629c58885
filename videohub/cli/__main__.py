"""`python -m videohub.cli` is `videohub`."""

from videohub.cli import main

main()
