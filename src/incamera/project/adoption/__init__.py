"""A way in for a folder that has something: another tool's project, requirements.txt, setup.py, a script."""
