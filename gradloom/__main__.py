"""`python -m gradloom` is the command `gradloom`."""

from gradloom.cli import main

main()
