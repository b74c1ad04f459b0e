"""The way to the server: its name, its port, TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..finding import broken, fine, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..finding import Finding
    from ..observation import Exchange, Fault, Observation

__all__ = ["check"]

_SLOW_DNS_SECONDS = 2.0
_OLD_TLS = {"SSLv3", "TLSv1", "TLSv1.1"}


def check(seen: Observation) -> Iterator[Finding]:
    """Judge how the last address of the redirects was reached."""
    main = seen.main
    if seen.forward_proxy is not None:
        yield skipped(
            "forward-proxy",
            "Programs of this machine are told to use a proxy, and the doctor does not",
            f"{main.address.scheme}_proxy is set",
            "A browser that uses the proxy may see something else: run the doctor on a"
            " machine that needs none.",
        )
    yield from _dns(main)
    yield from _connection(main)
    yield from _tls(seen)


def _dns(main: Exchange) -> Iterator[Finding]:
    connected, host = main.connected, main.address.host
    if connected.fault is not None and connected.fault.kind == "dns":
        yield broken(
            "dns",
            f"The name {host} is not known",
            connected.fault.detail,
            "Check the spelling, and the record at your DNS provider. A name of an internal"
            " network or of a container is known only there.",
        )
        return
    evidence = f"{', '.join(connected.addresses)} in {_ms(connected.dns_seconds)}"
    if connected.dns_seconds > _SLOW_DNS_SECONDS:
        yield warning(
            "dns",
            f"Looking up {host} is slow",
            evidence,
            "Check the name servers of this machine and of the domain: each reconnect waits"
            " for them.",
        )
    else:
        yield fine("dns", f"The name {host} is known", evidence)


_REFUSED = (
    "Nothing listens at this port. Start the server, check its port, and that it listens on"
    " this address and not on 127.0.0.1 of another machine or container."
)
_UNREACHABLE = (
    "A firewall drops the packets, or the address is of another network. Open the port, or"
    " run the doctor where the address can be reached."
)


def _connection(main: Exchange) -> Iterator[Finding]:
    connected = main.connected
    fault = connected.fault
    where = f"{main.address.host} port {main.address.port}"
    if fault is not None and fault.kind in {"refused", "unreachable", "timeout"}:
        advice = _REFUSED if fault.kind == "refused" else _UNREACHABLE
        words = {"refused": "is refused", "timeout": "gets no answer"}
        title = f"The connection to {where} {words.get(fault.kind, 'is not possible')}"
        yield broken("connection", title, fault.detail, advice)
    elif fault is not None and fault.kind == "dns":
        return
    elif connected.failed:
        failed = "; ".join(f"{name}: {reason}" for name, reason in connected.failed)
        yield warning(
            "connection",
            f"Some addresses of {main.address.host} do not answer",
            failed,
            "Remove these addresses from DNS, or make the server listen on them (often"
            " IPv6: listen [::]:443). Clients that try them first connect late.",
        )
    else:
        evidence = f"in {_ms(connected.tcp_seconds)}"
        yield fine("connection", f"Connected to {where}", evidence)


def _tls(seen: Observation) -> Iterator[Finding]:
    main = seen.main
    connected = main.connected
    fault = connected.fault or main.fault
    if fault is not None and fault.kind == "certificate":
        yield _certificate(main, fault)
    elif fault is not None and fault.kind == "plain-port":
        yield broken(
            "tls-to-plain-port",
            f"Port {main.address.port} does not speak TLS",
            fault.detail,
            "Write http:// instead of https://, or the port at which the proxy ends TLS.",
        )
    elif fault is not None and fault.kind == "tls":
        yield broken(
            "tls",
            "The TLS handshake fails",
            fault.detail,
            "Check which versions of TLS and which host names the server accepts (SNI), and"
            " whether it asks for a certificate of the client.",
        )
    elif fault is not None and fault.kind == "tls-port":
        yield _tls_port(main, fault.detail)
    elif main.is_meant_for_tls:
        yield _tls_port(main, "the server answers 400 and says that the port is for HTTPS")
    elif connected.tls_version in _OLD_TLS:
        yield warning(
            "tls",
            f"The server speaks {connected.tls_version}, which browsers refuse",
            "",
            "Enable TLS 1.2 and 1.3 in the proxy.",
        )
    elif connected.tls_seconds is not None:
        evidence = f"{connected.tls_version} in {_ms(connected.tls_seconds)}"
        if seen.target.verify:
            yield fine("tls", "The certificate is valid", evidence)
        else:
            yield skipped("tls", "The certificate was not verified", "--insecure", "")


def _tls_port(main: Exchange, evidence: str) -> Finding:
    return broken(
        "plain-to-tls-port",
        f"Port {main.address.port} speaks TLS, and the URL begins with http://",
        evidence,
        "Write https:// instead of http://.",
    )


def _certificate(main: Exchange, fault: Fault) -> Finding:
    detail = fault.detail.lower()
    host = main.address.host
    if "self-signed" in detail or "self signed" in detail:
        title = "The certificate is signed by itself, so browsers refuse it"
        advice = "Use a certificate of a public authority, such as Let's Encrypt."
    elif "expired" in detail:
        title = "The certificate has expired"
        advice = "Renew it, and reload the proxy, which may still have the old one."
    elif "not yet valid" in detail:
        title = "The certificate is not valid yet"
        advice = "Compare the clocks of the server and of this machine, or wait."
    elif "mismatch" in detail or "not valid for" in detail:
        title = f"The certificate is not for {host}"
        advice = (
            "Use a name of the certificate, or add this one to it. A proxy with several"
            " sites chooses by the name of the TLS handshake (SNI)."
        )
    else:
        title = "The certificate is not trusted"
        advice = (
            "Make the server send the intermediate certificates, too (fullchain.pem)."
            " Browsers complete some chains by themselves; programs do not."
        )
    insecure = (
        " For an authority of your own set SSL_CERT_FILE to its certificate. --insecure"
        " examines the rest all the same, and sends secrets to whoever answers."
    )
    return broken("certificate", title, fault.detail, advice + insecure)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
