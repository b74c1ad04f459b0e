"""What is said of rules that let the pages of others in."""

import re

import pytest

from heliograph.cors import CorsPolicy
from heliograph.errors import CorsConfigError

# (rule, what is said with credentials, what is said without)
RULES = [
    ("*", "any web site", None),
    ("null", "sandboxed frame", None),
    ("file://", "as a file", None),
    (r"https://.*", "also allows 'https://evil.example'", None),
    (
        "https://api.good.example?",
        r"allows 'https://apixgood.exampl', which may be somebody else's; write r'https://api\.good\.example?'",
        r"allows 'https://apixgood.exampl', which may be somebody else's; write r'https://api\.good\.example?'",
    ),
    (
        r"https://.*example\.com",
        r"allows 'https://evilexample.com', which may be somebody else's; write r'https://(.*\.)?example\.com'; if you",
        r"also allows 'https://evilexample.com'",
    ),
    (
        re.compile(r"https://app\.(?!com$).*example\..*"),
        "a name that is written out, as in r'https://(.*\\.)?yours\\.example'; or write the origins",
        "end the host with a name that is written out",
    ),
    (r"https://my.app\.github\.io", None, r"because a dot stands for any character; write r'https://my\.app"),
    (r"https://pr-...\.app\.example", None, r"write '\.' for a dot, or '[a-z0-9]'"),
    (re.compile(r"https://(?=app\.example$).*"), "cannot be proven", None),
    ("http://203.0.113.*", "'http://203.0.113.*' with supports_credentials also", None),
    ("http://192.168.1.*:3000", None, None),
    ("chrome-extension://*", None, None),
    (r"(chrome|moz)-extension://.*", None, None),
    (r"https://([a-z]+\.)*example\.com", None, None),
    ("https://*.app.example", None, None),
    ("https://app.example", None, None),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "error", "warning"), RULES)
def test_rules(rule, error, warning):
    """With credentials it is an error; without, a warning if it looks like an accident."""
    warnings = CorsPolicy(origins=["https://b.example", rule]).warnings

    assert len(warnings) == (warning is not None)
    if warning is not None:
        assert warnings[0].startswith(f"origins: {getattr(rule, 'pattern', rule)!r} ")
        assert warning in warnings[0]
    if error is None:
        CorsPolicy(origins=[rule], supports_credentials=True)
        return
    with pytest.raises(CorsConfigError) as caught:
        CorsPolicy(origins=[rule], supports_credentials=True)
    (problem,) = caught.value.problems
    assert problem.startswith("origins: ")
    assert error in problem
    assert "dangerously_allow_any_origin_with_credentials=True" in problem
    dangerous = CorsPolicy(
        origins=[rule],
        supports_credentials=True,
        dangerously_allow_any_origin_with_credentials=True,
    )
    assert len(dangerous.warnings) == (warning is not None)
