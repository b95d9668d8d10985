#!/usr/bin/env python3
"""Stand-in for strata-receiver: holds the ports, counts packets, speaks the control socket's JSON lines.

A first packet of b"crash" ends it at once, as a crash would.
"""
import json, os, selectors, socket, sys, time

arg = dict(zip(sys.argv[1::2], sys.argv[2::2]))
ports = [int(p) for p in arg["--ports"].split(",")]
idle_limit = float(arg["--idle-timeout-s"])
poll = selectors.DefaultSelector()
for port in ports:
    for number in (port, port + 1):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((arg["--bind"], number))
        poll.register(udp, selectors.EVENT_READ, "udp")
if "--record" in arg:
    open(arg["--record"], "xb").close()
server = socket.socket(socket.AF_UNIX)
server.bind(arg["--control-socket"])
server.listen()
poll.register(server, selectors.EVENT_READ, "accept")
clients, packets, started, last = [], 0, time.monotonic(), time.monotonic()

def say(event):
    for client in list(clients):
        try:
            client.sendall((json.dumps(event) + "\n").encode())
        except OSError:
            drop(client)

def drop(client):
    clients.remove(client)
    poll.unregister(client)
    client.close()

def end(reason):
    say({"event": "stopped", "reason": reason})
    os.remove(arg["--control-socket"])
    sys.exit(0)

while True:
    for key, _ in poll.select(0.05):
        if key.data == "udp":
            if key.fileobj.recv(2048) == b"crash":
                os.kill(os.getpid(), 9)
            if packets == 0 and "--record" in arg:
                say({"event": "recording", "part": "record", "path": arg["--record"]})
            packets += 1
            last = time.monotonic()
        elif key.data == "accept":
            client, _ = server.accept()
            clients.append(client)
            poll.register(client, selectors.EVENT_READ, "client")
            ready = {"event": "ready", "stream_id": arg["--stream-id"], "pid": os.getpid(), "ports": ports}
            client.sendall((json.dumps(ready) + "\n").encode())
        else:
            try:
                data = key.fileobj.recv(65536)
            except ConnectionResetError:
                data = b""  # who was killed had not read all
            if not data:
                drop(key.fileobj)
            for line in data.splitlines():
                command = json.loads(line)
                if command["cmd"] == "stop":
                    end("stop")
                if command["cmd"] == "update_forward":
                    say({"event": "error", "part": "output 0", "message": "stands in, forwards nothing"})
    if time.monotonic() - last > idle_limit:
        end("idle")
    say({"event": "stats", "uptime_ms": int((time.monotonic() - started) * 1000),
         "delivered_packets": packets, "delivered_bytes": packets * 1316, "lost_packets": 0,
         "recovered_packets": 0, "duplicate_packets": 0, "late_packets": 0,
         "latency_ms": int(arg["--latency-ms"]), "links": [{"port": p, "packets": 0, "bytes": 0} for p in ports]})
