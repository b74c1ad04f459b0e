"""The policies that a browser is set on."""


def policies(page):
    """
    Options of ``CorsPolicy``, by name; each is for the paths below its name.

    ``page`` is the origin that may.
    """
    return {
        "exact": {"origins": [page, "https://other.example"]},
        "only": {"origins": page, "allow_headers": ["X-Ask", "Content-Type"]},
        "pattern": {"origins": "http://*.localhost:*"},
        "port": {"origins": page.rpartition(":")[0] + ":*"},
        "regex": {"origins": r"http://127\.0\.0\.1:\d+"},
        "star": {"origins": "*", "expose_headers": "*"},
        "star-echo": {"origins": "*", "send_wildcard": False, "methods": "*"},
        "credentials": {
            "origins": [page, "https://other.example"],
            "supports_credentials": True,
            "expose_headers": ["X-Shown"],
            "allow_headers": ["X-Ask", "Content-Type", "Authorization"],
            "methods": ["GET", "POST", "PUT"],
        },
        "credentials-star": {
            "origins": page,
            "supports_credentials": True,
            "methods": "*",
            "max_age": 0,
        },
        "strict": {
            "origins": [page, "https://other.example"],
            "methods": ["GET", "PUT"],
            "allow_headers": ["X-Ask"],
            "max_age": 600,
        },
        "remembered": {"origins": page, "max_age": 600},
        "forgotten": {"origins": page, "max_age": 0},
        "null": {"origins": ["null", "https://other.example"]},
        "nobody": {"origins": "https://other.example"},
        "stream": {
            "origins": [page, "https://other.example"],
            "supports_credentials": True,
            "allow_headers": ["Authorization"],
        },
    }  # fmt: skip
