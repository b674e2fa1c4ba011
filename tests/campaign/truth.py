"""Whether readiness told the truth, by what happened to webhooks at the same time.

It lies in two ways: it says yes while every webhook is refused, and it says no while every webhook is acknowledged. Of each
the longest time counts: from when it was asked first to when it was asked last, of untrue answers in succession. A process
that answers neither says nothing. A webhook that is answered later than Telnyx waits counts as refused.
"""

import collections

# How long Telnyx waits for an answer, in seconds.
TELNYX_WAITS = 2.0

Lies = collections.namedtuple("Lies", "yes no")


def stretches(posts):
    """Begin, end and whether they were acknowledged, of webhooks in succession that ended alike, by when they were sent."""
    posts = sorted(posts)
    found = []
    for post in posts:
        taken = post.status == 200 and post.end - post.begin < TELNYX_WAITS
        if found and found[-1][2] == taken:
            found[-1][1] = max(found[-1][1], post.end)
        else:
            if found:
                found[-1][1] = min(found[-1][1], post.begin)
            found.append([post.begin, post.end, taken])
    return found


def lies(posts, probes):
    """Seconds for which readiness said yes, and no, wrongly."""
    probes = sorted(probes, key=lambda probe: probe.begin)
    longest = {False: 0.0, True: 0.0}
    for begin, end, taken in stretches(posts):
        since = None
        for probe in probes:
            if probe.begin < begin or probe.end > end:
                continue
            # A probe without an answer while webhooks are answered is a lie as well: whoever asks takes it for a no.
            if (probe.status == 200) == taken:
                since = None
                continue
            since = probe.begin if since is None else since
            longest[taken] = max(longest[taken], probe.begin - since)
    return Lies(yes=longest[False], no=longest[True])
