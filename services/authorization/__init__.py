"""Whether an id token may charge here and now."""
