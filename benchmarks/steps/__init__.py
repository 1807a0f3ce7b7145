"""Steps of one model on one device or on two, by this library and by what its frameworks have."""
