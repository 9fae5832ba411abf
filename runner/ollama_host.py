"""Where Ollama listens: the variable OLLAMA_HOST, read as Ollama's own programs read it.

Source of every rule: Ollama v0.33.0-rc2, envconfig/config.go (Var, Host, ConnectableHost), and Go's
net.SplitHostPort and net.ParseIP, which it calls.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from fathom_tui.errors import UsageError

VARIABLE = "OLLAMA_HOST"
DEFAULT_PORT = 11434
_SCHEME_PORTS = {"http": 80, "https": 443}
"""Ports of a value that names its scheme; one without a scheme gets Ollama's own port."""
_CLOUD = "ollama.com"
"""The one bare name that is reached over https."""
_LARGEST_PORT = 65535
_INTEGER = re.compile(r"[+-]?[0-9]{1,400}")
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_LONGEST_NAME, _LONGEST_LABEL = 254, 63
"""Characters; the name's last may be the root's dot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaHost:
    """A server's address as OLLAMA_HOST gives it."""

    scheme: str
    host: str
    """Name or address without brackets; empty stands for every address of this machine."""
    port: int
    """0 to 65535."""
    path: str = ""
    """Prefix of every call behind a proxy, without its first slash; empty means none."""

    def __str__(self) -> str:
        """Return the address as Ollama writes it."""
        return _url(self.scheme, self.host, self.port, self.path)

    @property
    def url(self) -> str:
        """Address to connect to: one that stands for all addresses becomes the local one."""
        return _url(self.scheme, self._reached, self.port, self.path)

    @property
    def remote(self) -> bool:
        """True unless the address can only be this machine."""
        address = _address(self._reached)
        if address is not None:
            return not address.is_loopback
        return self.host.lower() != "localhost" and not self.host.lower().endswith(".localhost")

    @property
    def note(self) -> str:
        """What the user has to know of a server elsewhere; empty for one on this machine."""
        if not self.remote:
            return ""
        said = f"{self} is another machine: the model and every prompt go there"
        if self.scheme == "http":
            return said + ", unencrypted."
        return said + "."

    @property
    def _reached(self) -> str:
        address = _address(self.host)
        if not self.host or (address is not None and address.is_unspecified):
            return "::1" if address is not None and address.version == 6 else "127.0.0.1"
        return self.host


def read_host(environment: Mapping[str, str]) -> OllamaHost:
    """Return the server that the environment names; the local one where it names none.

    Raises:
        UsageError: No client can connect to what is named.
    """
    given = environment.get(VARIABLE, "")
    host = parse_host(given)
    problem = ""
    if host.scheme not in _SCHEME_PORTS:
        problem = f"Its scheme is {host.scheme!r}"
    elif host.port == 0:
        problem = "Nobody can connect to port 0"
    elif host.host and _address(host.host) is None and not _is_name(host.host):
        problem = f"{host.host!r} is neither a name nor an address"
    if problem:
        raise UsageError(
            f"{VARIABLE} is {given!r}. {problem}.",
            fix=f"export {VARIABLE}=127.0.0.1:{DEFAULT_PORT}, or http://NAME:PORT",
        )
    return host


def _is_name(text: str) -> bool:
    """Say whether a resolver can be asked for a name: RFC 1035, 2.3.4, for its lengths."""
    labels = text.removesuffix(".").split(".")
    return (
        _NAME.fullmatch(text) is not None
        and len(text) <= _LONGEST_NAME
        and all(0 < len(label) <= _LONGEST_LABEL for label in labels)
    )


def parse_host(value: str) -> OllamaHost:
    """Return the address that Ollama reads from a value; any text gives one, as it does there."""
    value = value.strip().strip("\"'").strip()
    scheme, separator, rest = value.partition("://")
    default = DEFAULT_PORT
    if separator:
        default = _SCHEME_PORTS.get(scheme, DEFAULT_PORT)
    elif value == _CLOUD:
        scheme, rest = "https", f"{_CLOUD}:443"
    else:
        scheme, rest = "http", value
    address, _, path = rest.partition("/")
    host, port = _split(address) or (_bare(address), "")
    return OllamaHost(scheme=scheme, host=host, port=_port(port, default), path=path)


def _split(text: str) -> tuple[str, str] | None:
    """Split `host:port` as net.SplitHostPort does; None where that is an error."""
    colon = text.rfind(":")
    if colon < 0:
        return None
    if text.startswith("["):
        end = text.find("]")
        if end < 0 or end + 1 != colon:
            return None
        host, before, after = text[1:end], text[1:], text[end + 1 :]
    else:
        host, before, after = text[:colon], text, text
        if ":" in host:
            return None
    if "[" in before or "]" in after:
        return None
    return host, text[colon + 1 :]


def _bare(text: str) -> str:
    """Return the host of a value without a port."""
    address = _address(text.strip("[]"), zone=False)
    if address is None:
        return text or "127.0.0.1"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _port(text: str, default: int) -> int:
    number = int(text) if _INTEGER.fullmatch(text) else -1
    return number if 0 <= number <= _LARGEST_PORT else default


def _address(
    text: str, *, zone: bool = True
) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if "%" in text and not zone:
        return None  # net.ParseIP knows no zones
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _url(scheme: str, host: str, port: int, path: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port}" + (f"/{path}" if path else "")
