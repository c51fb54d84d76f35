"""A terminal as somebody else would write one: paho-mqtt, MQTT 5.

Arguments: host, port, HTTP address, phone number, password. Each step that went as it should is a
line; the first that did not ends the script.
"""

import json
import queue
import socket
import sys
import time
import urllib.request

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HOST, PORT, HTTP, PHONE, PASSWORD = sys.argv[1], int(sys.argv[2]), *sys.argv[3:6]
LIMIT_S = 10
BEGUN = time.time() - 60


def topic(leaf, phone=PHONE):
    return f"gridtrace/terminals/{phone}/{leaf}"


def position(number):
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(BEGUN + number))
    return json.dumps({"type": "position", "time": at, "lat": 37.87, "lon": 112.55})


class Terminal:
    """A client whose events are queued by their kind."""

    def __init__(self, password=PASSWORD, keep_alive=30, will=False):
        self.events = {k: queue.Queue() for k in ("connect", "ended", "ack", "sub", "message")}
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=PHONE, protocol=mqtt.MQTTv5,
            reconnect_on_failure=False,
        )
        self.client.username_pw_set(PHONE, password)
        if will:
            self.client.will_set(topic("up/json"), '{"type":"event","event":"offline"}', qos=1)
        put = lambda kind, value: self.events[kind].put(value)
        self.client.on_connect = lambda c, u, f, reason, p: put("connect", (reason.value, p))
        self.client.on_disconnect = lambda c, u, f, reason, p: put("ended", reason.value)
        self.client.on_publish = lambda c, u, mid, reason, p: put("ack", (mid, reason.value))
        self.client.on_subscribe = lambda c, u, mid, reasons, p: put("sub", [r.value for r in reasons])
        self.client.on_message = lambda c, u, m: put("message", (m.topic, m.payload))
        self.client.connect(HOST, PORT, keepalive=keep_alive)
        self.client.loop_start()

    def next(self, kind):
        return self.events[kind].get(timeout=LIMIT_S)

    def publish(self, leaf_topic, payload, **more):
        """Gives the reason of the acknowledgement."""
        sent = self.client.publish(leaf_topic, payload, qos=1, **more)
        mid, reason = self.next("ack")
        assert mid == sent.mid, (mid, sent.mid)
        return reason

    def is_shown_out(self):
        """Waits. The reason is not looked at: paho reads it only where properties follow it."""
        self.next("ended")
        self.client.loop_stop()
        return True

    def is_alive(self):
        return self.events["ended"].empty()

    def stop(self):
        self.client.disconnect()
        self.client.loop_stop()


def expect(what, found, wanted):
    assert found == wanted, f"{what}: {found!r}, not {wanted!r}"
    print("ok:", what, flush=True)


wrong = Terminal(password="wrong")
expect("a wrong password", wrong.next("connect")[0], 0x86)
wrong.client.loop_stop()

device = Terminal(keep_alive=1, will=True)
reason, limits = device.next("connect")
expect("the right one", reason, 0)
limits = limits.json()
expect("no exactly-once, nothing retained", (limits["MaximumQoS"], limits["RetainAvailable"]), (1, 0))
device.client.subscribe([(topic(leaf), mqtt.SubscribeOptions(qos=1)) for leaf in ("down/json", "errors")])
expect("its own topics", [r < 0x80 for r in device.next("sub")], [True, True])
device.client.subscribe([("gridtrace/#", mqtt.SubscribeOptions(qos=0)), (topic("up/json"), mqtt.SubscribeOptions(qos=0))])
expect("those of others", device.next("sub"), [0x87, 0x87])

expect("a position", device.publish(topic("up/json"), position(1)), 0)
expect("a payload that is none", device.publish(topic("up/json"), "{"), 0x99)
where, said = device.next("message")
expect("is explained", (where, json.loads(said)["reason"]), (topic("errors"), "syntax"))
expect("the topic of another", device.publish(topic("up/json", "1"), position(2)), 0x87)
own = Properties(PacketTypes.PUBLISH)
own.UserProperty = ("maker", "somebody")
own.MessageExpiryInterval = 60
expect("properties of its own", device.publish(topic("up/json"), position(3), properties=own), 0)

body = json.dumps({"message": "text_message", "body": {"flag": 1, "text": "hello"}}).encode()
asked = urllib.request.Request(
    f"http://{HTTP}/api/v1/terminals/{PHONE}/commands", data=body,
    headers={"Content-Type": "application/json"}, method="POST",
)
command_id = json.load(urllib.request.urlopen(asked, timeout=LIMIT_S))["id"]
where, said = device.next("message")
said = json.loads(said)
expect("a command", (where, said["message"]), (topic("down/json"), "text_message"))
answer = {"type": "answer", "serial": said["serial"], "message_id": said["message_id"], "result": 0}
expect("its answer", device.publish(topic("up/json"), json.dumps(answer)), 0)
ends = time.monotonic() + LIMIT_S
while True:
    state = json.load(urllib.request.urlopen(f"http://{HTTP}/api/v1/commands/{command_id}"))["state"]
    if state == "answered" or time.monotonic() > ends:
        break
    time.sleep(0.05)
expect("the state of the command", state, "answered")

# Its pings keep it: it has said nothing else for three times its keep-alive.
time.sleep(3)
expect("kept alive", device.is_alive(), True)

thief = Terminal(password="wrong")
expect("a thief", thief.next("connect")[0], 0x86)
thief.client.loop_stop()
expect("harms nobody", (device.is_alive(), device.publish(topic("up/json"), position(4))), (True, 0))
second = Terminal()
expect("a second connection", second.next("connect")[0], 0)
expect("takes the first one's place", device.is_shown_out(), True)

second.client.publish(topic("up/json"), position(5), qos=1, retain=True)
expect("retained", second.is_shown_out(), True)
third = Terminal()
expect("back again", third.next("connect")[0], 0)
third.client.publish(topic("up/json"), b" " * 200_000, qos=0)
expect("too long", third.is_shown_out(), True)

lost = Terminal(will=True)
expect("one with a will", lost.next("connect")[0], 0)
expect("alive and well", lost.publish(topic("up/json"), position(6)), 0)
lost.client.socket().shutdown(socket.SHUT_RDWR)
expect("it is lost", lost.is_shown_out(), True)
last = Terminal()
expect("the last", last.next("connect")[0], 0)
expect("says goodbye", last.publish(topic("up/json"), position(7)), 0)
last.stop()
print("done", flush=True)
