"""Drives an MQTT listener with paho-mqtt: MQTT 3.1.1 and 5 at QoS 0, 1 and 2, retained messages, wills, resumed
sessions, and what is refused. Usage: paho_listener.py PORT; the logins are th and board."""

import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PORT = int(sys.argv[1])
WAIT_SECS = 15
TOPIC = "zigbee2mqtt/th"
NOT_ALLOWED = 135


class Client:
    def __init__(self, login, version, client_id, clean=True, will=None):
        self.version, self.clean = version, clean
        session = {"clean_session": clean} if version == mqtt.MQTTv311 else {}
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version, **session
        )
        self.client.username_pw_set(login, f"pw-{login}")
        if will:
            self.client.will_set(*will)
        self.connected, self.subscribed = queue.Queue(), queue.Queue()
        self.published, self.messages = queue.Queue(), queue.Queue()
        self.client.on_connect = lambda c, u, flags, reason, p: self.connected.put(
            (flags.session_present, reason.is_failure)
        )
        self.client.on_subscribe = lambda c, u, mid, codes, p: self.subscribed.put([c.value for c in codes])
        self.client.on_publish = lambda c, u, mid, reason, p: self.published.put(reason.value)
        self.client.on_message = lambda c, u, m: self.messages.put(m)

    def connect(self):
        """Whether a session was there."""
        more = {}
        if self.version == mqtt.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 0 if self.clean else 300
            more = {"clean_start": self.clean, "properties": properties}
        self.client.connect("127.0.0.1", PORT, 30, **more)
        self.client.loop_start()
        resumed, failed = self.connected.get(timeout=WAIT_SECS)
        assert not failed, "the login is refused"
        return resumed

    def subscribe(self, topic, qos):
        self.client.subscribe(topic, qos)
        return self.subscribed.get(timeout=WAIT_SECS)

    def publish(self, topic, payload, qos, retain=False, properties=None):
        """The reason of the acknowledgement."""
        self.client.publish(topic, payload, qos, retain, properties)
        return self.published.get(timeout=WAIT_SECS)

    def next(self):
        return self.messages.get(timeout=WAIT_SECS)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()

    def lose(self):
        """The connection is gone without a word."""
        self.client.loop_stop()
        self.client.socket().close()


def number(n):
    return f'{{"temperature":{n}}}'.encode()


def exchange(version, device, reader):
    for qos in (0, 1, 2):
        for wanted in (0, 1, 2):
            assert reader.subscribe(TOPIC, wanted) == [wanted]
            device.publish(TOPIC, number(qos * 10 + wanted), qos)
            got = reader.next()
            assert (got.topic, got.payload) == (TOPIC, number(qos * 10 + wanted)), got.payload
            assert (got.qos, got.retain) == (min(qos, wanted), False), (got.qos, got.retain)
    if version == mqtt.MQTTv5:
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = ("room", "101")
        properties.ContentType = "application/json"
        properties.TopicAlias = 7
        device.publish(TOPIC, number(50), 1, properties=properties)
        got = reader.next()
        assert got.properties.UserProperty == [("room", "101")], got.properties
        assert got.properties.ContentType == "application/json", got.properties
        properties = Properties(PacketTypes.PUBLISH)
        properties.TopicAlias = 7
        device.publish("", number(51), 2, properties=properties)
        assert (reader.next().topic) == TOPIC, "an alias stands for its topic"


def retained(version, device):
    device.publish(TOPIC, number(60), 1, retain=True)
    late = Client("board", version, "late")
    late.connect()
    late.subscribe("zigbee2mqtt/+", 1)
    got = late.next()
    assert (got.payload, got.retain) == (number(60), True), (got.payload, got.retain)
    device.publish(TOPIC, b"", 1, retain=True)
    assert late.next().payload == b"", "the clearing is a message, too"
    late.close()
    late = Client("board", version, "later")
    late.connect()
    late.subscribe("zigbee2mqtt/+", 1)
    device.publish(TOPIC, number(61), 1)
    got = late.next()
    assert (got.payload, got.retain) == (number(61), False), "what was cleared is gone"
    late.close()


def wills(version, reader):
    will = ("zigbee2mqtt/th/availability", b"offline", 1, False)
    reader.subscribe("zigbee2mqtt/#", 2)
    lost = Client("th", version, "will-1", will=will)
    lost.connect()
    lost.lose()
    got = reader.next()
    assert (got.topic, got.payload) == (will[0], will[1]), (got.topic, got.payload)
    polite = Client("th", version, "will-2", will=will)
    polite.connect()
    polite.publish(TOPIC, number(70), 1)
    polite.close()
    assert reader.next().payload == number(70)


def resumed(version, device):
    away = Client("board", version, "away", clean=False)
    assert not away.connect()
    away.subscribe(TOPIC, 2)
    away.close()
    for n, qos in ((80, 1), (81, 2), (82, 1)):
        device.publish(TOPIC, number(n), qos)
    device.publish(TOPIC, number(83), 0)
    away = Client("board", version, "away", clean=False)
    assert away.connect(), "the session is still there"
    got = [away.next() for _ in range(3)]
    assert [(m.payload, m.qos) for m in got] == [(number(80), 1), (number(81), 2), (number(82), 1)], got
    device.publish(TOPIC, number(84), 1)
    assert away.next().payload == number(84), "its subscription, too"
    away.close()
    fresh = Client("board", version, "away", clean=True)
    assert not fresh.connect(), "a clean start forgets it"
    fresh.close()


def refused(version, device, reader):
    failure = 128 if version == mqtt.MQTTv311 else NOT_ALLOWED
    for client, topic in ((device, "zigbee2mqtt/other"), (device, "#"), (reader, "other/#"), (reader, "#")):
        assert client.subscribe(topic, 1) == [failure], topic
    wanted = 0 if version == mqtt.MQTTv311 else NOT_ALLOWED
    assert device.publish("mqtt/face/1001/Rec", b"{}", 1) == wanted
    assert reader.publish(TOPIC, number(90), 1) == wanted
    assert reader.publish(TOPIC, number(91), 2) == wanted


for version in (mqtt.MQTTv311, mqtt.MQTTv5):
    device, reader = Client("th", version, "device"), Client("board", version, "reader")
    device.connect()
    reader.connect()
    exchange(version, device, reader)
    reader.close()
    retained(version, device)
    reader = Client("board", version, "reader")
    reader.connect()
    wills(version, reader)
    resumed(version, device)
    refused(version, device, reader)
    device.close()
    reader.close()
print("ok")
