"""One file per command: words to values, one call, rendering."""
