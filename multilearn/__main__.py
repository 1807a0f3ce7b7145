"""`python -m multilearn` is the command line."""

from multilearn.cli import main

if __name__ == "__main__":
    main()
