"""Which proxy a delivery goes through, and what of a URL is shown."""

import pytest

from ff_observe.delivery.urls import host_and_port, proxy_for

PROXY = "http://user:word@proxy.example:3128"


@pytest.fixture(autouse=True)
def no_proxy_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "variables", "proxy"),
    [
        ("http://a.example/x", {}, None),
        ("http://a.example/x", {"http_proxy": PROXY}, PROXY),
        ("https://a.example/x", {"http_proxy": PROXY}, None),
        ("https://a.example/x", {"HTTPS_PROXY": "proxy.example:3128"}, "http://proxy.example:3128"),
        ("https://a.example/x", {"all_proxy": PROXY}, PROXY),
        ("http://u:w@a.example:81/x", {"http_proxy": PROXY, "no_proxy": "a.example"}, None),
        ("http://b.a.example/x", {"http_proxy": PROXY, "no_proxy": "c.example, .a.example"}, None),
        ("http://nota.example/x", {"http_proxy": PROXY, "no_proxy": "a.example"}, PROXY),
        ("http://a.example/x", {"http_proxy": PROXY, "no_proxy": "*"}, None),
        ("http://10.1.2.3/x", {"http_proxy": PROXY, "no_proxy": "10.0.0.0/8"}, None),
        ("http://11.1.2.3/x", {"http_proxy": PROXY, "no_proxy": "10.0.0.0/8"}, PROXY),
        ("http://[fd00::1]:4318/x", {"http_proxy": PROXY, "no_proxy": "192.0.2.1,fd00::/8"}, None),
    ],
)
def test_the_proxy_is_the_one_that_the_environment_names(
    url: str, variables: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:word@a.example/path?token=t", "a.example:443"),
        ("http://a.example:81", "a.example:81"),
        ("http://[::1]/", "[::1]:80"),
    ],
)
def test_only_host_and_port_of_a_url_are_shown(url: str, shown: str) -> None:
    assert host_and_port(url) == shown
