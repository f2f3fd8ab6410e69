"""``allaprima serve``: paint live streams in a browser, in OBS, over the network."""

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allaprima.realtime import extras, logs
from allaprima.realtime.errors import ConfigError

if TYPE_CHECKING:
    from allaprima.realtime.live.settings import Settings


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is the whole network, with --token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of pages and control; 0 takes a free one.")] = 8080,
    token: Annotated[
        str | None,
        typer.Option(envvar="ALLAPRIMA_TOKEN", show_envvar=True, help="Who knows it may use the server."),
    ] = None,
    guest_token: Annotated[
        str | None,
        typer.Option(
            envvar="ALLAPRIMA_GUEST_TOKEN",
            show_envvar=True,
            help="Who knows it may paint, but not see or steer the streams of others.",
        ),
    ] = None,
    style: Annotated[
        str | None, typer.Option("--style", "-s", metavar="NAME", help='Style of new streams, or a mix: "a:0.7,b:0.3".')
    ] = None,
    strength: Annotated[
        float | None, typer.Option(min=0, max=1, help="How strongly to paint. Not set: what the style recommends.")
    ] = None,
    steadiness: Annotated[
        float | None, typer.Option(min=0, max=1, help="How steady over time. Not set: what the style recommends.")
    ] = None,
    transition: Annotated[float, typer.Option(min=0, max=60, help="Seconds of a cross-fade between styles.")] = 1.0,
    max_sessions: Annotated[int, typer.Option(min=1, help="Streams at a time; more are told to come back.")] = 8,
    fps: Annotated[
        float | None,
        typer.Option(metavar="N", help="Most frames a second of each stream. Not set: as many as come."),
    ] = None,
    max_latency: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="A frame older than this is dropped before it is painted. Not set: none."),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate (PEM): other machines' cameras need https.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key (PEM), without a password.")] = None,
    tls_self_signed: Annotated[
        bool, typer.Option("--tls-self-signed", help="Make a certificate: browsers warn, but phones give their camera.")
    ] = False,
    ice_server: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="stun:HOST:PORT or turn:USER:SECRET@HOST:PORT. Repeatable. Not set: none."),
    ] = None,
    udp_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="One UDP port for all media. Not set: any.")
    ] = None,
    host_address: Annotated[
        str | None, typer.Option(metavar="IP", help="Address to tell peers, where this machine is behind a NAT.")
    ] = None,
    osc_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Listen to OSC on this UDP port: /style, /strength, ...")
    ] = None,
    osc_host: Annotated[str, typer.Option(help="Address for OSC, which knows no token: whoever reaches it steers.")] = (
        "127.0.0.1"
    ),
    loss_network: Annotated[
        Path | None, typer.Option(metavar="FILE", help="VGG-19 to train styles with, as add-style takes it.")
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Photographs to train styles on, as add-style takes them.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="Folder of the model bundle.")] = None,
    open_page: Annotated[
        bool | None, typer.Option("--open/--no-open", help="Open the page. Not set: where there is a screen.")
    ] = None,
    access_log: Annotated[bool, typer.Option("--access-log", help="Log requests, without their secrets.")] = False,
    stats: Annotated[
        bool, typer.Option("--stats", help="Tell once a second on standard error how each stream fares.")
    ] = False,
    log: Annotated[
        str, typer.Option(metavar="FORMAT", help="Logs on standard error: text, or json with one object a line.")
    ] = "text",
    log_level: Annotated[str, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")] = "info",
) -> None:
    """Paint cameras over WebRTC: in a browser, from OBS by WHIP, to anybody by WHEP.

    allaprima serve --style starry-night
    """
    logs.setup(log, log_level)
    _require_extra()
    from allaprima.realtime.live import launch
    from allaprima.realtime.live.ice import IceServer
    from allaprima.realtime.live.settings import Settings

    settings = Settings(
        host=host,
        port=port,
        token=token,
        guest_token=guest_token,
        style=style,
        strength=strength,
        steadiness=steadiness,
        transition=transition,
        bundle=bundle,
        max_sessions=max_sessions,
        fps=fps,
        max_latency=max_latency,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_self_signed=tls_self_signed,
        ice_servers=tuple(IceServer.parse(url) for url in ice_server or ()),
        udp_port=udp_port,
        host_address=host_address,
        osc_port=osc_port,
        osc_host=osc_host,
        loss_network=loss_network,
        photos=photos,
        access_log=access_log,
    )
    _check(settings)
    launch.run(settings, open_page, stats)


def _require_extra() -> None:
    if not extras.present("webrtc"):
        raise ConfigError("serving needs the extra webrtc, which is not installed", extras.command("webrtc"))


def _check(settings: "Settings") -> None:
    """The same as `Settings.check`, with a token to copy where one is missing."""
    try:
        settings.check()
    except ConfigError as error:
        if settings.token:
            raise
        suggestion = f"Give a token, for example: --token {secrets.token_urlsafe(12)}"
        raise ConfigError(str(error), suggestion if "--token" in error.hint else error.hint) from error
