"""A run that is only tried, for `multilearn run --quick`: a batch of each epoch, written where it is thrown away."""
