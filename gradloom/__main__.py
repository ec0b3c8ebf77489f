"""`python -m gradloom` is the command `gradloom`."""

from gradloom.cli import main

if __name__ == "__main__":
    main()
