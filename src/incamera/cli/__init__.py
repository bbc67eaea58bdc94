"""One module for each command: parse the arguments, call a workflow, print the result."""
