"""A terminal and a subscriber over WebSocket, in both versions: paho-mqtt.

Arguments: host, port, file of the certificate or nothing, phone number, password, user, password.
"""

import json
import queue
import sys
import time

import paho.mqtt.client as mqtt

HOST, PORT, CA, PHONE, PASSWORD, USER, USER_PASSWORD = sys.argv[1], int(sys.argv[2]), *sys.argv[3:8]
LIMIT_S = 10


def client(version, client_id, name, password):
    """A client that was let in, with its messages and its acknowledgements."""
    made = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version,
        transport="websockets", reconnect_on_failure=False,
    )
    made.ws_set_options(path="/mqtt")
    made.username_pw_set(name, password)
    if CA:
        made.tls_set(ca_certs=CA)
    connected, subscribed, messages = queue.Queue(), queue.Queue(), queue.Queue()
    made.on_connect = lambda c, u, f, reason, p: connected.put(reason.is_failure)
    made.on_subscribe = lambda c, u, mid, reasons, p: subscribed.put([r.value for r in reasons])
    made.on_message = lambda c, u, m: messages.put(m)
    made.connect(HOST, PORT, keepalive=30)
    made.loop_start()
    assert connected.get(timeout=LIMIT_S) is False, f"{name} was refused"
    return made, subscribed, messages


for number, version in enumerate([mqtt.MQTTv311, mqtt.MQTTv5]):
    reader, subscribed, messages = client(version, "screen", USER, USER_PASSWORD)
    reader.subscribe("gridtrace/live/140105/#", qos=1)
    assert subscribed.get(timeout=LIMIT_S) == [1]
    terminal, _, _ = client(version, PHONE, PHONE, PASSWORD)
    # Of the present, and each another one.
    seconds = time.time() - 5 + number
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    sent = {"type": "position", "time": at, "lat": 37.87, "lon": 112.54, "speed_kmh": 11 + number}
    terminal.publish(f"gridtrace/terminals/{PHONE}/up/json", json.dumps(sent), qos=1).wait_for_publish(LIMIT_S)
    ends = time.monotonic() + LIMIT_S
    while True:
        message = messages.get(timeout=max(ends - time.monotonic(), 0.01))
        if message.topic.endswith("/position") and not message.retain:
            break
    assert message.topic == f"gridtrace/live/140105/001/001/{PHONE}/position", message.topic
    print("ok: version", version, "through", message.topic, flush=True)
    for one in (terminal, reader):
        one.disconnect()
        one.loop_stop()
print("done", flush=True)
