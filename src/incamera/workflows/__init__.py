"""The tables of contents: each brings the rooms together for one verb."""
