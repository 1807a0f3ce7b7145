"""What is replaced in Keras, so that all frameworks compute the same: checked first, then all of it."""
