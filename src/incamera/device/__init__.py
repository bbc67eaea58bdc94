"""What a camera is and has, and what runs there: probing, running, the agent, the attach socket."""
