"""MkDocs hook: docstrings name objects as Sphinx does, ``:class:`~package.Name```; Markdown shows the name alone."""

import re


def on_page_content(html: str, **_) -> str:
    """Leave the name alone, without its package after ``~``."""
    html = re.sub(r":(?:class|func|meth|attr|data|mod):(?=<code>)", "", html)
    return re.sub(r"<code>~(?:\w+\.)*(\w+)</code>", r"<code>\1</code>", html)
