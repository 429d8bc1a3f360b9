"""A camera and an access terminal with Python's own HTTP server: Digest logins, event streams, and kept passes.

Prints its port, then one line of JSON for each request: {"path", "status"}. Orders come as lines of JSON:
{"send": text}       a part of every open stream, with its header and boundary
{"raw": text}        bytes of every open stream as they are
{"heartbeat": bool}  whether streams tell every 0.1 s that they live
{"close": true}      ends every open stream
{"passes": [..]}     what the terminal has kept, rows of AcsEvent
{"still": path}      the file that /still.jpg?main gives

An argument is the password, else it is right-1.
"""

import hashlib
import json
import queue
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USER, REALM, NONCE = "admin", "camera", "4f2d9a"
PASSWORD = sys.argv[1] if len(sys.argv) > 1 else "right-1"
HEARTBEATS = {
    "isapi": "<EventNotificationAlert version=\"2.0\"><eventType>videoloss</eventType>"
    "<eventState>inactive</eventState><activePostCount>0</activePostCount></EventNotificationAlert>",
    "dahua": "Heartbeat",
}

lock = threading.Lock()
streams = []
state = {"heartbeat": True, "passes": [], "still": None}


def tell(what):
    with lock:
        print(json.dumps(what), flush=True)


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


class Device(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def welcome(self, body=b""):
        """Whether the login is right; else the challenge is sent."""
        header = self.headers.get("Authorization", "")
        said = {}
        if header.startswith("Digest "):
            for pair in header[7:].split(","):
                key, _, value = pair.strip().partition("=")
                said[key] = value.strip('"')
        a1 = md5(f"{USER}:{REALM}:{PASSWORD}")
        a2 = md5(f"{self.command}:{self.path}")
        if said.get("qop"):
            right = md5(f"{a1}:{NONCE}:{said.get('nc')}:{said.get('cnonce')}:{said['qop']}:{a2}")
        else:
            right = md5(f"{a1}:{NONCE}:{a2}")
        if said.get("uri") == self.path and said.get("response") == right:
            return True
        tell({"path": self.path, "status": 401, "tried": bool(said)})
        self.send_response(401)
        self.send_header(
            "WWW-Authenticate", f'Digest realm="{REALM}", qop="auth", nonce="{NONCE}", algorithm=MD5'
        )
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def still(self):
        if not self.welcome():
            return
        with open(state["still"], "rb") as file:
            picture = file.read()
        tell({"path": self.path, "status": 200})
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(picture)))
        self.end_headers()
        self.wfile.write(picture)

    def do_GET(self):
        if self.path == "/still.jpg?main":
            self.still()
            return
        if self.path == "/ISAPI/Event/notification/alertStream":
            form, boundary, kind = "isapi", "MIME_boundary", "application/xml; charset=\"UTF-8\""
        elif self.path.startswith("/cgi-bin/eventManager.cgi?action=attach&codes=[All]&heartbeat="):
            form, boundary, kind = "dahua", "myboundary", "text/plain"
        else:
            self.send_error(404)
            return
        if not self.welcome():
            return
        orders = queue.Queue()
        with lock:
            streams.append(orders)
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", f"multipart/mixed; boundary={boundary}")
        self.end_headers()
        tell({"path": self.path, "status": 200})
        try:
            while True:
                try:
                    order = orders.get(timeout=0.1)
                except queue.Empty:
                    if not state["heartbeat"]:
                        continue
                    order = {"send": HEARTBEATS[form]}
                if "close" in order:
                    return
                if "raw" in order:
                    self.wfile.write(order["raw"].encode())
                else:
                    part = order["send"].encode()
                    head = f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Length: {len(part)}\r\n\r\n"
                    self.wfile.write(head.encode() + part + b"\r\n")
                self.wfile.flush()
        except OSError:
            pass
        finally:
            with lock:
                streams.remove(orders)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.path.startswith("/ISAPI/AccessControl/AcsEvent"):
            self.send_error(404)
            return
        if not self.welcome(body):
            return
        asked = json.loads(body)["AcsEventCond"]
        first, most = asked["searchResultPosition"], min(asked["maxResults"], 2)
        inside = [p for p in state["passes"] if asked["startTime"] <= p["time"] <= asked["endTime"]]
        page = inside[first : first + most]
        more = first + len(page) < len(inside)
        answer = {
            "AcsEvent": {
                "searchID": asked["searchID"],
                "responseStatusStrg": "MORE" if more else ("OK" if page else "NO MATCH"),
                "numOfMatches": len(page),
                "totalMatches": len(inside),
                "InfoList": page,
            }
        }
        text = json.dumps(answer).encode()
        tell({"path": self.path, "status": 200, "position": first})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Device)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for line in sys.stdin:
        order = json.loads(line)
        if order.keys() & state.keys():
            state.update(order)
            continue
        with lock:
            for orders in streams:
                orders.put(order)


main()
