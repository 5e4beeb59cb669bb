"""A mail server for tests: says its port, then one line of JSON for each letter that it was offered.

Addresses say what it does: `never-...` is refused for good, `later-...` is put off the first time. With two
arguments it speaks TLS from the beginning: the files of its certificate and key.
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP


class Handler:
    def __init__(self):
        self.put_off = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("never-"):
            say({"to": address, "answer": 550})
            return "550 nobody has this address"
        if address.startswith("later-") and address not in self.put_off:
            self.put_off.add(address)
            say({"to": address, "answer": 451})
            return "451 come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        say({
            "to": envelope.rcpt_tos,
            "from": envelope.mail_from,
            "answer": 250,
            "text": envelope.content.decode("utf-8"),
        })
        return "250 taken"


def say(line):
    print(json.dumps(line), flush=True)


async def main():
    handler = Handler()
    tls = None
    if len(sys.argv) > 1:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(sys.argv[1], sys.argv[2])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler), "127.0.0.1", 0, ssl=tls)
    say({"port": server.sockets[0].getsockname()[1]})
    await server.serve_forever()


asyncio.run(main())
