"""A mail server of aiosmtpd that prints each mail as a line of JSON. Usage: notify_smtp.py plain|starttls|implicit [CERT KEY].

It listens on a free loopback port, printed as `port N`, and ends when stdin closes. `starttls` and `implicit` want the
login gate / a password that begins with `right`. What stands before the @ of a recipient says what becomes of it: 450,
452, 550 and 554 are such answers, `slow` takes the mail and never says so, `full` refuses the mail itself with 451.
"""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Mailbox:
    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        word = address.split("@")[0]
        if word.isdigit():
            return f"{word} nothing for {address}"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, session, envelope):
        words = [address.split("@")[0] for address in envelope.rcpt_tos]
        if "slow" in words:
            await asyncio.sleep(3600)
        if "full" in words:
            return "451 the disk is full"
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        told = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": mail["subject"],
            "sender": mail["from"],
            "id": mail["message-id"],
            "automatic": mail["auto-submitted"],
            "text": mail.get_content().replace("\r\n", "\n"),
            "encrypted": session.ssl is not None,
            "login": session.auth_data.decode() if session.auth_data else None,
        }
        print(json.dumps(told), flush=True)
        return "250 queued as 4711"


def login(_server, _session, _envelope, mechanism, data):
    good = mechanism in ("PLAIN", "LOGIN") and data.login == b"gate" and data.password.startswith(b"right")
    return AuthResult(success=good, handled=False, auth_data=data.login if good else None)


async def main():
    kind, context = sys.argv[1], None
    if kind != "plain":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
    settings = {"hostname": "mail.test", "loop": asyncio.get_running_loop()}
    if kind == "starttls":
        settings |= {"tls_context": context, "require_starttls": True}
    if kind != "plain":
        settings |= {"authenticator": login, "auth_required": True, "auth_require_tls": kind == "starttls"}
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(Mailbox(), **settings), "127.0.0.1", 0, ssl=context if kind == "implicit" else None
    )
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
