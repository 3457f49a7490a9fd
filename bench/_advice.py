"""What to do about each kind of failure, in a few words."""

AGAIN = "may work another day: --retry-failed {kind}"

ADVICE = {
    "": "",
    # Left out on purpose.
    "votes": "too few agree; --keep all and --min-agree set the rule",
    "duplicate": "kept once, under another address",
    # Files and rows.
    "bad_row": "correct the row and extract into another store; inspect --failed has its line",
    "not_found": "put the file there, then --retry-failed not_found",
    "unreadable": "allow reading the file, then --retry-failed unreadable",
    "outside": "lies outside of the CSV's folder; --retry-failed outside --allow-outside if meant",
    # The network.
    "bad_url": "no http, https or file address; correct it and extract into another store",
    "dns": AGAIN,
    "blocked_host": "not a public host; --retry-failed {kind} --allow-private-hosts if meant",
    "connect": AGAIN,
    "tls": "the server has no valid certificate; " + AGAIN,
    "timeout": AGAIN + ", perhaps with a longer --timeout",
    "redirects": AGAIN,
    "gone": "removed by its owner; nothing to do",
    "http_4xx": "the server refuses; nothing to do",
    "rate_limited": AGAIN + " and a lower --rate",
    "http_5xx": AGAIN,
    "placeholder": "a picture that stands for removed ones; nothing to do",
    "too_large": "over --max-bytes or 89 megapixels; --retry-failed {kind} with a higher limit",
    # The bytes.
    "not_image": "no image; if downloaded, a page to log in, perhaps",
    "undecodable": "truncated or corrupt; --retry-failed {kind} if it was downloaded",
    "too_small": "fewer pixels a side than --min-side",
}


def advise(kind: str) -> str:
    """Return what to do about a kind of failure."""
    return ADVICE.get(kind, "").format(kind=kind)
