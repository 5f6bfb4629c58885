"""Parts of files where they lie: on a disk, behind http(s), in a bucket (s3, gs) or on the hub (hf).

Every location is a text, a path or a URL. Bytes come by ranges, exactly those that were asked for or an error; whether
they are a tar, a video or nonsense is for whoever knows what should be there. `shown` is how a location is named to
people and in files: without what may be a credential; `scrubbed` does that to messages.
"""

from videohub.storage.buckets import expand
from videohub.storage.locations import check_host, is_remote, scrubbed, shown
from videohub.storage.ranges import Stat, read_all, read_range, stat

__all__ = ["Stat", "check_host", "expand", "is_remote", "read_all", "read_range", "scrubbed", "shown", "stat"]
