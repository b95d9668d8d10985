#!/usr/bin/env python3
"""Writes first corpora for the fuzz targets: the golden vectors, and a few datagrams and sequences of operations."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT / "strata-proto/vectors/control"
GROUPS = {
    "proto_agent_envelope": ["agent"],
    "proto_control_envelope": ["control"],
    "proto_live": ["live_request", "live_frame"],
    "proto_receiver": ["receiver_command", "receiver_event"],
    "proto_rest": ["rest"],
}

RTP = "80210001 00000384 00000004"
PORTS = "800107b0"
REPORT = "81c90001 00000007"
NAME = "81ca0003 00000007 01047465 73740000"
SEEDS = {
    "rist_rtp": {
        "plain": RTP + "47010010",
        "source-and-padding": "a1210001 00000384 00000004 00000009 47010010 00000004",
        "extension": "90210001 00000384 00000004 52490001 80080000 47010010",
    },
    "rist_rtcp": {
        "sender-report": "80c80006 00000001 11112222 33334444 00000005 00000006 00000007" + NAME,
        "receiver-report": "81c90007 00000001 00000002 03ffffff 00000005 00000006 00000007 00000008" + NAME,
        "range-nack": REPORT + NAME + "80cc0003 aabbccdd 52495354 fffe0003",
        "extended-sequence": REPORT + NAME + "81cc0003 aabbccdd 52495354 01020000 80cc0003 aabbccdd 52495354 fffe0003",
        "bitmask-nack": REPORT + NAME + "81cd0003 00000000 aabbccdd ffff8005",
        "feedback": REPORT + "8bcd0009 00000007 aabbccdc fffe0003 80030000 9ffe0000 aabbccdd 00070002 80008001 01020304",
        "capabilities": REPORT + "80cc0003 00000008 53545241 00000001",
    },
    "rist_gre": {
        "clear": "000088b6" + PORTS + RTP + "47010010",
        "key": "300888b6 53d1fa3a 00000000 288f4802",
        "long-key": "304888b6 2588659e 00000000 040ca201",
        "keep-alive": "000088b5 020304050607 01b0" + b'{"vendor":"Strata"}'.hex(),
        "vsf": "0010cce0 00000000" + PORTS + RTP,
        "vsf-keep-alive": "0010cce0 00008000 020304050607 0000",
        "whole-datagram": "00000800 45000028 00000000 40110000 0a000001 0a000002 800107b0 00140000" + RTP,
        "extension": "90210001 00000384 00000004 52490001 f8880007 47010010",
        "nulls": "47010010" + "00" * 184 + "471fff10" + "ff" * 184 + "47010011" + "00" * 184,
    },
    # Number of links; then operations: payloads and time, echoes answered, requests, feedback, a dead link.
    "rist_sender": {
        "stream": "01" + "01 00 05" * 40,
        "requests": "02" + "01 0105 000a 05" * 10 + "04 00020003 00010005 0032" * 4,
        "feedback": "02" + "01 01 000a 05 45" * 10 + "16 0102030405060708 0000 0001 0032" * 4,
        "dead-link": "02" + "01 000a 05" * 10 + "0e" + "01 0064" * 10 + "06 05",
    },
    # Operations: reports, packets in order and after gaps, time.
    "rist_receiver": {
        "stream": "04 00000001" + "05 0005" * 40 + "0104",
        "gaps": "04 00000001" + "05 0005" * 10 + "0602" + "05 0005" * 20 + "0114" + "06ff 05 000a" * 4,
        "repeats": "84 00000001 44 01 00000001" + "05 85 45 0005" * 10 + "07 0000000a 00002328 0164",
        "raw": "02 08" + REPORT + "03 0c" + RTP + "0014",
    },
    # Operations: links that come and go, other parameters, payloads, answers, time.
    "rist_links": {
        "come-and-go": "0e 14 0100 24 0200" + "01 01 000a 0c" * 10 + "15 2700 1e 14 0300" + "01 01 000a 0c" * 10,
        "parameters": "0e 14 0101 1e 03 0600" + "0b 0064 0140 00c8 0096 01f4 64a03c 0204 0f" + "01 01 000a 0c" * 10 + "0d 0000 02",
        "costs": "14 0102 24 0207 34 0303 1e 2e" + "01 01 01 000a 0c" * 20 + "3805 18ff 19ffff",
    },
    # Operations: packets by SSRC and host, reports, farewells, time.
    "rist_streams": {
        "two": "0402 1404" + "0602 1604 0005" * 20 + "0164",
        "crowd": "0602 0602 0604 0604 1606 1606 1608 1608 260a 260a 0132 360c 360c 01c8",
        "farewell": "0402" + "0602 0005" * 10 + "0c02 0114" + "0602 0752 05 0602",
    },
    # With a key or not; then operations and their values: datagrams of the server and of another, changes, time.
    "rist_client": {
        "clear": "00" + "0400 0300 0302 0032" * 8 + "0602 0132 0400",
        "key": "01" + "0400 0300 0302 0032" * 8 + "0602 0178 0300",
        "another-key": "01" + "0400 0401 0301 0603 061c 0032" * 8,
        "raw": "01 0214 300888b5 00000001 00000001 020304050607 0080 02 1c 000088b6" + PORTS + RTP,
    },
    # An exchange with another password, and messages of nobody.
    "rist_auth": {
        "exchange": "4300 0200 4500 0200 4500 0200 4500 0200 4500 0200 0040 0200",
        "start": "0104 02010000 0040 0040 0040 0109 0200000502010005 13",
    },
    # With a key or not; then operations and their values: datagrams of who has the key and who has another, changes, time.
    # The same with receivers that call, answer what they are asked, or answer in another's place; then media.
    "rist_host": {
        "clear": "00" + "0300 0400 0700 0032" * 8 + "0302 0402 0700 0164 0300 0400 0700",
        "key": "01" + "0300 0400 0700 0032" * 8 + "0b00 0c00 0700 0178 0300 0400 0700",
        "another-key": "01" + "0301 0400 0700 0300 0c02 0700 0301 0610 0032" * 6,
        "moved": "00" + "0300 0400 0700" * 3 + "0b40 0440 0c00 0700 0b40 0c42 0700 0132" * 3,
    },
    "rist_tunnel": {
        "clear": "00" + "0400 0300 0302 0032" * 8 + "0132",
        "key": "01" + "0400 0300 0302 0032" * 8 + "0132",
        "another-key": "01" + "0400 0401 0300 0301 0303 061c 0032" * 8,
        "changed": "01" + "0400 0300 0302 0503 a502 0401 4502" * 4 + "0764 0610",
        "raw": "01 0400 0214 300888b5 00000001 00000001 020304050607 0080 02 1c 000088b6" + PORTS + RTP,
    },
    # Operations: PID, flags, length, and what a packet begins with: tables, a keyframe, sound.
    "ts_classifier": {
        "stream": "00 40 11 00 00b00d 0001c10000 0001e001 00000000"
        + "01 40 1b 00 02b017 0001c10000 e002f000 1be002f000 0fe003f000 00000000"
        + "02 40 0e 000001e0 00008000 00 00000165 88" + "02 00 04 01020304" + "03 40 09 000001c0 0000800000",
    },
}

# Text as it is.
TEXTS = {
    "netem_trace": {
        "plain": "0\n0\n3\n7\n7\n12\n",
        "blank": "\n 5 \n\n9\n",
        "refused": "4\n2\n",
    },
    "rist_verifiers": {
        "old": "field:AAECAw==:BAUGBw==:3\n",
        "both": "field:AAECAw==:BAUGBw==:3:0\nfield:AAECAw==:BAUGBw==:3:1\nother:CAkK:CwwN:3\n",
        "refused": "field:AAECAw==:BAUGBw==:2\n:AAECAw==:BAUGBw==:3\n",
    },
    "net_urls": {
        "sender": "rist://host:6000?buffer=300&secret=s&aes-type=256&key-rotation=2000&cname=c&interface=wwan0,"
        "rist://[2001:db8::1]:6002?source=[fd00::2]&backup=1&weight=5&rtt-min=5",
        "receiver": "rist://@0.0.0.0:6000?buffer=300,rist://@[::]:6002,rist://@:0",
        "refused": "rist://@h?buffer&buffre=1&aes-type=192",
    },
}

for target, groups in GROUPS.items():
    corpus = ROOT / "fuzz/corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    for file in (f for group in groups for f in VECTORS.glob(f"*/{group}/*/*.json")):
        content = json.loads(file.read_text())
        message = content if "valid" in file.parts else content.get("text", content.get("input"))
        text = message if isinstance(message, str) else json.dumps(message)
        corpus.joinpath("-".join(file.relative_to(VECTORS).parts)).write_text(text)

for target, seeds in SEEDS.items():
    corpus = ROOT / "fuzz/corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    for name, digits in seeds.items():
        corpus.joinpath(name).write_bytes(bytes.fromhex(digits))

for target, seeds in TEXTS.items():
    corpus = ROOT / "fuzz/corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    for name, text in seeds.items():
        corpus.joinpath(name).write_text(text)
