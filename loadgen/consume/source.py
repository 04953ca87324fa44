"""What is consumed, named so that nothing else is ever taken for it.

In: what the brokers say of their cluster and topic. Out: the tag in file names, and the folder of the commit records.
"""

from dataclasses import dataclass
from hashlib import blake2b

from loadgen.store.layout import COMMITS, TMP


@dataclass(frozen=True, slots=True)
class Source:
    """A topic of a cluster. One that was removed and made anew is another source: its offsets begin again.

    Attributes:
        cluster_id: as the brokers report it.
        topic: the name.
        topic_id: the brokers' UUID of the topic; empty where they have none.
    """

    cluster_id: str
    topic: str
    topic_id: str

    @property
    def tag(self) -> str:
        """8 hexadecimal digits that stand for all three."""
        named = "\n".join((self.cluster_id, self.topic, self.topic_id))
        return blake2b(named.encode(), digest_size=4).hexdigest()

    @property
    def folder(self) -> str:
        """Where the commit records are: a folder per partition below this one."""
        return f"{COMMITS}/{self.topic}-{self.tag}"

    def records(self, partition: int) -> str:
        """The folder of a partition's commit records."""
        return f"{self.folder}/p={partition:03}"

    def temporaries(self, partition: int) -> str:
        """The folder of the files that are being written for a partition."""
        return f"{TMP}/{self.topic}-{self.tag}/p={partition:03}"
