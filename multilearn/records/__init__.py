"""State as bytes and back: tensors, the formats of files, and what their readers may take."""
