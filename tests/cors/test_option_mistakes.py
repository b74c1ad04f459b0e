"""What is said of an unknown option, and of a flag that is no boolean."""

import pytest

from heliograph.cors.option_mistakes import not_a_flag, unknown_option
from heliograph.cors.policy import OPTIONS

KEYS = tuple(f"CORS_{name.upper()}" for name in (*OPTIONS, "resources"))

# (name, what to write). Add a row, not a test.
NAMES = [
    ("orgins", "did you mean origins?"),
    ("Origins", "did you mean origins?"),
    ("CORS_ORIGINS", "did you mean origins?"),
    ("maxAge", "did you mean max_age?"),
    ("credentials", "did you mean supports_credentials?"),
    ("allow_origins", "write origins=… instead."),
    ("allow_origin_regex", "write an expression among the origins: origins=[re.compile(…)]."),
    ("allow_credentials", "write supports_credentials=… instead."),
    ("urls_regex", 'see "Options" on the page cors.md of the documentation.'),
    ("cookies", 'see "Options" on the page cors.md of the documentation.'),
]  # fmt: skip

# Likewise for the keys of a configuration.
OF_CONFIG = [
    ("CORS_ORIGIN", "did you mean CORS_ORIGINS?"),
    ("CORS_origins", "did you mean CORS_ORIGINS?"),
    ("CORS_ALLOW_ALL_ORIGINS", "for True, write CORS_ORIGINS = '*'."),
    ("CORS_ORIGIN_ALLOW_ALL", "for True, write CORS_ORIGINS = '*'."),
    ("CORS_ALLOWED_ORIGINS", "write CORS_ORIGINS = … instead."),
    ("CORS_ORIGIN_WHITELIST", "write CORS_ORIGINS = … instead."),
    (
        "CORS_ALLOWED_ORIGIN_REGEXES",
        "write an expression among the origins: CORS_ORIGINS = [re.compile(…)].",
    ),
    ("CORS_PREFLIGHT_MAX_AGE", "write CORS_MAX_AGE = … instead."),
    ("CORS_URLS_REGEX", "write CORS_RESOURCES = … instead."),
    ("CORS_ALLOW_CREDENTIALS", "write CORS_SUPPORTS_CREDENTIALS = … instead."),
    ("CORS_ENABLED", 'see "Options" on the page cors.md of the documentation.'),
]


@pytest.mark.parametrize(("name", "hint"), [*NAMES, *OF_CONFIG])
def test_names(name, hint):
    """The option that was meant, in any case and by the name of other packages."""
    known = KEYS if (name, hint) in OF_CONFIG else OPTIONS

    assert unknown_option(name, known) == f"{name} is not a CORS option; {hint}"


ENVIRONMENT = "(in an environment variable for from_prefixed_env(), write "

# (value, what is said of it)
FLAGS = [
    ("True", f"'True' is a string; pass the boolean True {ENVIRONMENT}true)"),
    ("1", f"'1' is a string; pass the boolean True {ENVIRONMENT}true)"),
    ("no", f"'no' is a string; pass the boolean False {ENVIRONMENT}false)"),
    ("x", f"'x' is a string; pass the boolean True or False {ENVIRONMENT}true or false)"),
    (1, "1 is a number; pass the boolean True"),
    (0, "0 is a number; pass the boolean False"),
    (2, "2 is neither True nor False; pass one of them"),
    (None, "None is neither True nor False; pass one of them"),
    ([], "[] is neither True nor False; pass one of them"),
]


@pytest.mark.parametrize(("value", "words"), FLAGS)
def test_flags(value, words):
    """The boolean that was meant."""
    assert not_a_flag("vary_header", value) == f"vary_header: {words}"
