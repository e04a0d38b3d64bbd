"""Serve the provider on two ports, since two companies have two addresses: OpenAI's and Anthropic's."""

import argparse
import socket

import uvicorn

HOST = "127.0.0.1"


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="model_provider", description=__doc__)
    parser.add_argument("ports", type=int, nargs="+", help="one for each company")
    given = parser.parse_args()
    sockets = [socket.create_server((HOST, port)) for port in given.ports]
    config = uvicorn.Config("model_provider.app:app", log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=sockets)


if __name__ == "__main__":
    main()
