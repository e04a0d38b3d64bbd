"""Flask: every secret in one request, and a second that fails."""

from __future__ import annotations

import os

import flask
import requests

from apps.planting import Planted, fail, plant

app = flask.Flask(__name__)
planted = Planted("flask")


@app.post("/plant")
def everything() -> flask.Response:
    flask.request.get_data()
    plant(planted)
    address = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"].replace("http://", "")
    requests.get(
        f"http://shop:{planted.word('client.userinfo')}@{address}/?token={planted.word('client.query')}",
        headers={"Authorization": f"Bearer {planted.word('client.header')}"},
        timeout=10,
    )
    return flask.Response("planted", headers={"Set-Cookie": f"sid={planted.word('answer.cookie')}"})


@app.post("/fail")
def failure() -> str:
    fail(planted)
    return "never"
