"""Options of the client of a schema registry: those of confluent-kafka's own that say how to reach it.

In: an option. Out: its problem on one line with the next step. How long it tries, and where a login comes from, is not
among them: the first is loadgen's, the second follows from the options that are given.
"""

from collections.abc import Collection

from loadgen.config.options import Options
from loadgen.config.values import nearest

_NAMES = (
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
    "basic.auth.user.info",
    "bearer.auth.token",
    "bearer.auth.logical.cluster",
    "bearer.auth.identity.pool.id",
    "proxy",
)
_INSTEAD = {
    "url": "name the registry by --schema-registry",
    "schema.registry.url": "name the registry by --schema-registry",
    "basic.auth.credentials.source": "leave it out: it follows from basic.auth.user.info",
    "bearer.auth.credentials.source": "leave it out: it follows from bearer.auth.token",
    "ssl.truststore.location": "that is the Java client's: write ssl.ca.location, a PEM file",
    "ssl.keystore.location": "that is the Java client's: write ssl.certificate.location, a PEM file",
}
JAVA_PREFIX = "schema.registry."


class RegistryOptions(Options):
    """Options of the client of a schema registry."""

    flag = "registry-config"
    prefix = "LOADGEN_REGISTRY_OPTION_"
    example = "ssl.ca.location=ca.pem"

    @classmethod
    def known(cls) -> Collection[str]:
        """The names of all options."""
        return _NAMES

    @classmethod
    def problem(cls, name: str, value: str, origin: str = "") -> str | None:
        """See Options."""
        where = f" ({origin})" if origin else ""
        if name not in _NAMES:
            return f"the schema registry has no option {name!r}{where}; {_instead_of(name)}"
        if not value.isascii() or not value.isprintable():
            return f"registry option {name} must be ASCII on one line{where}; correct it, its value is not shown here"
        if name == "basic.auth.user.info" and ":" not in value:
            return f"registry option {name} must be USER:PASSWORD, got no colon{where}; write {name}=USER:PASSWORD"
        return None


def _instead_of(name: str) -> str:
    bare = name.lower().removeprefix(JAVA_PREFIX)
    if name in _INSTEAD or bare in _INSTEAD:
        return _INSTEAD.get(name) or _INSTEAD[bare]
    near = nearest(bare, _NAMES)
    return f"did you mean {near}?" if near else f"there are {', '.join(_NAMES)}"
