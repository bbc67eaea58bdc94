"""python3 -m incamera_agent --app NAME --user TEXT --command TEXT [--take-over]: the agent, on its standard streams."""

import sys

from incamera_agent.server.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
