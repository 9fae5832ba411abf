"""OLLAMA_HOST is read as Ollama reads it: its own cases, and what must hold for any text."""

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fathom_tui.errors import UsageError
from fathom_tui.runner.ollama_api import OllamaApi
from fathom_tui.runner.ollama_host import parse_host, read_host

# What Ollama v0.33.0-rc2 makes of these values (envconfig/config_test.go, TestHost).
OLLAMAS_CASES = {
    "": "http://127.0.0.1:11434",
    "1.2.3.4": "http://1.2.3.4:11434",
    ":1234": "http://:1234",
    "1.2.3.4:1234": "http://1.2.3.4:1234",
    "example.com": "http://example.com:11434",
    "example.com:1234": "http://example.com:1234",
    ":0": "http://:0",
    ":66000": "http://:11434",
    ":-1": "http://:11434",
    "[::1]": "http://[::1]:11434",
    "[::]": "http://[::]:11434",
    "::1": "http://[::1]:11434",
    "[::1]:1337": "http://[::1]:1337",
    " 1.2.3.4 ": "http://1.2.3.4:11434",
    '"1.2.3.4"': "http://1.2.3.4:11434",
    ' " 1.2.3.4 " ': "http://1.2.3.4:11434",
    "'1.2.3.4'": "http://1.2.3.4:11434",
    "http://1.2.3.4": "http://1.2.3.4:80",
    "http://1.2.3.4:4321": "http://1.2.3.4:4321",
    "https://1.2.3.4": "https://1.2.3.4:443",
    "https://1.2.3.4:4321": "https://1.2.3.4:4321",
    "https://example.com/ollama": "https://example.com:443/ollama",
}
# What follows from its code, and from Go's net.SplitHostPort and net.ParseIP.
OUR_CASES = {
    "ollama.com": "https://ollama.com:443",
    "example.com/": "http://example.com:11434",
    "example.com:1234/a/b": "http://example.com:1234/a/b",
    "example.com:": "http://example.com:11434",
    "example.com:https": "http://example.com:11434",
    "http://example.com:x": "http://example.com:80",
    "[2001:DB8::1]": "http://[2001:db8::1]:11434",
    "::ffff:10.0.0.1": "http://10.0.0.1:11434",
    "[::1": "http://[::1]:11434",
    "1.2.3.4:+80": "http://1.2.3.4:80",
    "1.2.3.4:0080": "http://1.2.3.4:80",
    "1.2.3.4:８０": "http://1.2.3.4:11434",
}


@pytest.mark.parametrize(("value", "expected"), (OLLAMAS_CASES | OUR_CASES).items())
def test_a_value_means_what_it_means_to_ollama(value: str, expected: str) -> None:
    assert str(parse_host(value)) == expected


@pytest.mark.parametrize(
    ("value", "connected"),
    {
        "0.0.0.0": "http://127.0.0.1:11434",
        "0.0.0.0:80": "http://127.0.0.1:80",
        "[::]": "http://[::1]:11434",
        ":1234": "http://127.0.0.1:1234",
        "1.2.3.4": "http://1.2.3.4:11434",
    }.items(),
)
def test_an_address_to_listen_on_becomes_one_to_connect_to(value: str, connected: str) -> None:
    assert parse_host(value).url == connected


@pytest.mark.parametrize(
    "value", ["", "127.0.0.1", "127.1.2.3:1", "::1", "0.0.0.0", "localhost:1", "LOCALHOST", ":1"]
)
def test_this_machine_needs_no_word_about_it(value: str) -> None:
    host = parse_host(value)

    assert not host.remote
    assert host.note == ""


def test_another_machine_is_said_to_be_one_and_whether_the_way_is_open_to_readers() -> None:
    plain, encrypted = parse_host("gpu-box"), parse_host("https://gpu-box")

    assert plain.remote and encrypted.remote
    assert plain.note.startswith("http://gpu-box:11434 is another machine: the model and every")
    assert plain.note.endswith(", unencrypted.")
    assert "unencrypted" not in encrypted.note


@pytest.mark.parametrize(
    ("value", "problem"),
    {
        "ftp://box": "Its scheme is 'ftp'",
        "unix:///run/ollama.sock": "Its scheme is 'unix'",
        "box:0": "Nobody can connect to port 0",
        "my box": "'my box' is neither a name nor an address",
        "a:b:c": "'a:b:c' is neither a name nor an address",
        "user@box": "'user@box' is neither a name nor an address",
    }.items(),
)
def test_what_nobody_can_connect_to_is_refused_with_an_example(value: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as error:
        read_host({"OLLAMA_HOST": value})

    assert repr(value) in error.value.message
    assert error.value.fix.startswith("export OLLAMA_HOST=127.0.0.1:11434")


def test_nothing_named_is_the_local_server() -> None:
    assert read_host({}).url == read_host({"OLLAMA_HOST": " "}).url == "http://127.0.0.1:11434"


@given(st.text(max_size=40) | st.text(alphabet="htps:/[]%.0123456789abf'\" -+", max_size=25))
@example("http://[::1%eth0]:1")
@example("[]:1")
@example("http://" + "9" * 400)
def test_any_text_gives_an_address_or_a_refusal(value: str) -> None:
    assert 0 <= parse_host(value).port <= 65535
    try:
        host = read_host({"OLLAMA_HOST": value})
    except UsageError:
        return

    assert parse_host(str(host)) == host
    reached = httpx.URL(scheme=host.scheme, host="x", port=host.port)
    assert host.url.startswith(f"{reached.scheme}://")


@given(
    st.sampled_from(["", "http://", "https://"]),
    st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z]{2,5})?", fullmatch=True)
    | st.ip_addresses(v=4).map(str)
    | st.ip_addresses(v=6, network="2000::/3").map(lambda a: f"[{a}]"),
    st.none() | st.integers(1, 65535),
)
def test_scheme_name_and_port_come_back_as_given(scheme: str, name: str, port: int | None) -> None:
    host = read_host({"OLLAMA_HOST": f"{scheme}{name}" + (f":{port}" if port else "")})

    default = {"": 11434, "http://": 80, "https://": 443}[scheme]
    if not scheme and name == "ollama.com" and port is None:
        default = 443
    assert (host.host, host.port) == (name.strip("[]"), port or default)


@pytest.mark.parametrize("value", ["..", "a..b", ".", "a" * 300, "b." * 130 + "b", ".a:80"])
def test_a_name_that_no_resolver_takes_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="neither a name nor an address"):
        read_host({"OLLAMA_HOST": value})


def test_a_name_may_end_with_the_root_s_dot() -> None:
    assert read_host({"OLLAMA_HOST": "example.com.:80"}).host == "example.com."


def test_a_name_that_cannot_be_decoded_is_refused_before_any_call() -> None:
    host = read_host({"OLLAMA_HOST": "xn--a.example:80"})

    with pytest.raises(UsageError, match="which is none"):
        OllamaApi(host)
