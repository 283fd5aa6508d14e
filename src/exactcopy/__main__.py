"""`python -m exactcopy` is `exactcopy`."""

from exactcopy.cli import main

if __name__ == "__main__":
    main()
