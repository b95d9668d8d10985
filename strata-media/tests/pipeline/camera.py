#!/usr/bin/python3
"""A network camera: serves H.264 and AAC by RTSP on a port the kernel picks, and prints where.

The first argument is the address to listen at.
"""
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer

Gst.init(None)
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=25/1"
    " ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=500 key-int-max=25"
    " ! rtph264pay name=pay0 pt=96 config-interval=-1"
    " audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! avenc_aac ! aacparse"
    " ! rtpmp4gpay name=pay1 pt=97 )"
)
factory.set_shared(True)
server = GstRtspServer.RTSPServer()
server.set_address(sys.argv[1])
server.set_service("0")
server.get_mount_points().add_factory("/camera", factory)
server.attach(None)
print(f"rtsp://{sys.argv[1]}:{server.get_bound_port()}/camera", flush=True)
GLib.MainLoop().run()
