"""What AXIS OS answers over the web: its rules for accounts, parameters and apps, and what runs the apps.

It runs in virtual cameras, behind their web server (`main.py`), and in tests. Standard library only.
"""
