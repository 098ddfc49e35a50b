"""`python -m foreshock`: the command line where no `foreshock` is on the path."""

from foreshock.cli.app import main

if __name__ == "__main__":
    main()
