"""Painting live streams over the network: WebRTC in a browser, WHIP in, WHEP out, and what controls them.

Needs the extra ``webrtc`` (aiortc and aiohttp), except `control`, `stream` and `hub`, which know nothing of networks.
"""
