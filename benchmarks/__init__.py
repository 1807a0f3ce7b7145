"""What training costs, next to its peers: `nox -s bench`."""
