"""Print the last lines of `make demo`: what to type next."""

print("""
That was Python, in camera. Now your own:

  . .venv/bin/activate
  incamera new doorbell && cd doorbell
  incamera run                     # edit app.py, and run it again
  incamera python                  # the interpreter in the camera
  incamera device add axiscam      # your own camera, by its name in ~/.ssh/config
  incamera run --device axiscam

The virtual camera keeps running, so that the next run starts at once. To stop it, type: incamera virtual stop""")
