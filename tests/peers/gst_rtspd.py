#!/usr/bin/python3
"""An RTSP server on 127.0.0.1, made of GStreamer's own (gst-rtsp-server), for the camera tests.

Three listeners on ports the system chooses: open, behind Digest, behind Basic (user admin, password camera1).
When all listen, one line of JSON with their ports goes to standard output.

  /cam0    a test picture, H.264, 15 frames a second
  /stall   the same, but the picture stops after its first frame while the RTSP session stays up

Ends when standard input is closed, so that it never outlives its test.
"""
import json
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

PICTURE = "videotestsrc name=src is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=15/1 ! "
ENCODER = (
    "x264enc tune=zerolatency speed-preset=ultrafast bitrate=200 key-int-max=15 "
    "! identity name=gate ! rtph264pay name=pay0 pt=96 config-interval=1"
)


def picture(shared=True):
    factory = GstRtspServer.RTSPMediaFactory.new()
    factory.set_launch("( " + PICTURE + ENCODER + " )")
    factory.set_shared(shared)
    return factory


def stop_after_first_frame(_factory, media):
    """Drops every encoded frame but the first at the gate: the pipeline runs on, and nothing comes out."""
    pad = media.get_element().get_by_name("gate").get_static_pad("src")
    passed = [0]

    def probe(_pad, _info):
        passed[0] += 1
        return Gst.PadProbeReturn.OK if passed[0] == 1 else Gst.PadProbeReturn.DROP

    pad.add_probe(Gst.PadProbeType.BUFFER, probe)


def listen(mounts, method=None):
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service("0")
    if method is not None:
        auth = GstRtspServer.RTSPAuth.new()
        auth.set_supported_methods(method)
        token = GstRtspServer.RTSPToken.new()
        token.set_string("media.factory.role", "user")
        if method == GstRtsp.RTSPAuthMethod.DIGEST:
            auth.add_digest("admin", "camera1", token)
        else:
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic("admin", "camera1"), token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions.new()
        permissions.add_permission_for_role("user", "media.factory.access", True)
        permissions.add_permission_for_role("user", "media.factory.construct", True)
        for factory in mounts.values():
            factory.set_permissions(permissions)
    for path, factory in mounts.items():
        server.get_mount_points().add_factory(path, factory)
    if server.attach(None) == 0:
        sys.exit("gst_rtspd: cannot listen on 127.0.0.1")
    return server


def main():
    Gst.init(None)
    stalled = picture(shared=False)
    stalled.connect("media-configure", stop_after_first_frame)
    mounts = {"/cam0": picture(), "/stall": stalled}
    servers = {
        "open": listen(mounts),
        "digest": listen({"/cam0": picture()}, GstRtsp.RTSPAuthMethod.DIGEST),
        "basic": listen({"/cam0": picture()}, GstRtsp.RTSPAuthMethod.BASIC),
    }
    print(json.dumps({name: server.get_bound_port() for name, server in servers.items()}), flush=True)
    loop = GLib.MainLoop()
    GLib.io_add_watch(sys.stdin.fileno(), GLib.PRIORITY_DEFAULT, GLib.IO_HUP, lambda *_: loop.quit())
    loop.run()


main()
