"""`python -m estran` is the command line."""

from estran.cli import main

if __name__ == "__main__":
    main()
