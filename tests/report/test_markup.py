"""Texts can never become markup, and the policy names each script and style by its hash."""

import base64
import hashlib

from loadgen.report.html import embedded_json, html, policy, tag


def digest(text: str) -> str:
    """As a policy names a text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_texts_and_attributes_are_escaped() -> None:
    hostile = """<script>alert("1")</script>&'"""
    found = html(tag("p", hostile, title=hostile, data_x=None))
    assert found == (
        """<p title="<script&gt;alert(&quot;1&quot;)</script&gt;&amp;'">"""  # only a quote ends an attribute
        """&lt;script&gt;alert("1")&lt;/script&gt;&amp;'</p>"""
    )


def test_children_stand_in_their_order_and_none_is_left_out() -> None:
    found = html(tag("p", "a", tag("b", "c"), None, ["d", tag("i"), "e"], "f", class_="x", aria_hidden="true"))
    assert found == '<p class="x" aria-hidden="true">a<b>c</b>d<i></i>ef</p>'


def test_what_has_no_letters_is_shown_as_an_escape() -> None:
    assert html(tag("p", "a\0\u202eb\udcff")) == "<p>a\\x00\\u202eb\\udcff</p>"


def test_json_cannot_end_its_element() -> None:
    found = embedded_json({"name": "</script><!--<script>"})
    assert "<" not in found
    assert found == '{"name":"\\u003c/script>\\u003c!--\\u003cscript>"}'


def test_the_policy_allows_these_scripts_and_styles_and_nothing_of_the_network() -> None:
    assert policy(["one", "two"], ["three"]) == (
        f"default-src 'none'; script-src {digest('one')} {digest('two')}; "
        f"style-src {digest('three')} {digest('')}; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
