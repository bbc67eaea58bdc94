import json
import sys

import acap


def tell(kind, *values):
    print(json.dumps([kind, *values]), flush=True)


def own_services():
    """Use the app's own events and parameters, and leave at the end."""
    tell("parameters", dict(acap.parameters), acap.parameters["root.Properties.System.SerialNumber"])
    with acap.parameters.changes("Interval", timeout=60) as changes:
        acap.parameters["Interval"] = acap.parameters.integer("Interval") + 1
        tell("changed", next(changes))
    with acap.events.State("Door", open=False, nice_name="Front door") as door:
        tell("topic", door.topic)
        for event in acap.events.subscribe(door.topic, "open", timeout=60):
            tell("event", event.topic, event.data)
            if event.data["open"]:
                break
            door.open = True
    with acap.events.Pulse("Knock", strength=float) as knock:
        try:
            knock.send(strength="loud")
        except TypeError as error:
            tell("refused", str(error))


def serve():
    """Tell each change of the parameter and each event of a port, until the port is 0."""

    @acap.parameters.on_change("Interval")
    def changed(value):
        tell("changed", value)
        door.opened = int(value)

    @acap.events.on("tns1:Device/tnsaxis:IO/Port", "state", "port")
    def port(event):
        tell("port", event.data)
        if event.data["port"] == 0:
            sys.exit()

    with acap.events.State("Door", opened=0) as door:
        tell("ready", sorted(acap.parameters))
        acap.wait()


def read_messages():
    """Tell where the square of the scene is, and what the app cannot do here."""
    with acap.messages.subscribe("mdb.com.axis.analytics_scene_description.v0.beta", timeout=60) as subscription:
        for _ in range(3):
            [seen] = next(subscription).data["frame"]["observations"]
            tell("seen", seen["bounding_box"])
    try:
        acap.messages.Topic("people")
    except NotImplementedError as error:
        tell("refused", str(error))


if sys.argv[1:] == ["serve"]:
    serve()
elif sys.argv[1:] == ["messages"]:
    read_messages()
else:
    own_services()
