import os
import subprocess
import sys
import urllib.request

from setuptools import setup

ADDRESS = "https://downloads.example.org/libs/own-1.0.tar.gz"
TOOLS = {
    "urllib": lambda: urllib.request.urlopen(ADDRESS),
    "pip": lambda: subprocess.run([sys.executable, "-m", "pip", "download", ADDRESS], check=True),
    "curl": lambda: subprocess.run(["curl", "-fsS", ADDRESS], check=True),
    "git": lambda: subprocess.run(["git", "clone", "https://downloads.example.org/own.git"], check=True),
}
TOOLS[os.environ["TOOL"]]()
setup()
