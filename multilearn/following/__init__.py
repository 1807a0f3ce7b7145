"""A run read back from its directory as the events that its listeners receive, live or afterwards."""

from multilearn.following.follow import Following, follow

__all__ = ["Following", "follow"]
