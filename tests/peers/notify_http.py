"""Answers requests as a server of somebody else would, and prints each as a line of JSON. Usage: notify_http.py [CERT KEY].

Python's own http.server on a free loopback port, printed as `port N`, over TLS where a certificate is given; ends when
stdin closes. The first step of the path says how it answers:

success         200, and the documents of all robots say that it went well
code-N          200, and the documents say the code N
status-N        status N; 429 and 503 ask for a pause of 7 s
slow            nothing, until the client leaves
garbled         200, and bytes that are no text
huge            200, and 70000 bytes
redirect        302 to /success
echo-N          status N, and everything that came, as text
odd             200, `{"code": 0}` where the last digit in the body is odd, else `{"code": 7}`
"""

import json
import re
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


# Each request has a thread of its own, and a line must stay one.
TELLING = threading.Lock()


class Answer(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def take(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        heard = {
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": body.decode("utf-8", "backslashreplace"),
        }
        with TELLING:
            print(json.dumps(heard), flush=True)
        mode = self.path.split("/")[1].split("?")[0]
        word, _, number = mode.partition("-")
        match word:
            case "success":
                self.say(200, json.dumps({"errcode": 0, "code": 0, "errmsg": "ok", "msg": "success"}))
            case "code":
                self.say(200, json.dumps({"errcode": int(number), "code": int(number), "errmsg": "no", "msg": "no"}))
            case "status":
                self.say(int(number), "an error page")
            case "slow":
                self.rfile.read(1)
            case "garbled":
                self.say(200, b"\xff\xfe\x00<html>\xe7\x81\x00{\"errcode\": 0")
            case "huge":
                self.say(200, b" " * 70_000)
            case "redirect":
                self.say(302, "", {"Location": "/success"})
            case "echo":
                self.say(int(number), f"{self.path}\r\n{self.headers}\r\n\r\n{heard['body']}")
            case "odd":
                digits = re.findall(r"\d", heard["body"])
                self.say(200, json.dumps({"code": 0 if int(digits[-1]) % 2 else 7, "msg": "no"}))
            case _:
                self.say(404, "no such mode")

    def say(self, status, body, headers=None):
        body = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        if status in (429, 503):
            self.send_header("Retry-After", "7")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = take


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


def main():
    server = Server(("127.0.0.1", 0), Answer)
    if len(sys.argv) > 1:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1], sys.argv[2])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print("port", server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


main()
