"""Answers a feed reader that has everything already, before anything else is asked: one query of one row.

It stands right after what guards the connection, and looks at the host itself as the rest of the chain would.
"""

from changelog.public import page

#: Nothing else has our tags; the rest of the site never pays for this.
_BELOW = ("/changes/", "/api/")


class ConditionalMiddleware:
    """Says "not modified" for public pages."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        """Answer 304 where the asker's tag still holds, else go on. Raises DisallowedHost for a wrong host."""
        if (
            "HTTP_IF_NONE_MATCH" in request.META
            and request.method in ("GET", "HEAD")
            and request.path_info.startswith(_BELOW)
        ):
            request.get_host()
            tag = page.tag_of(request)
            # Only an address that answered 200 was ever given its tag: they are signed with this installation's key.
            if page.is_known(request, tag):
                return page.not_modified(tag)
        return self.get_response(request)
