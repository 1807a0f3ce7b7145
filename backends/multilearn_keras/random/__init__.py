"""Everything random in Keras, from one seed and the same on every framework."""
