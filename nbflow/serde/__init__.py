"""Values to tagged bytes and back, and what is said of values without storing them.

Nothing is imported because stored bytes name it, and nothing is pickled or unpickled
unless the caller asks for it. Neither the engine nor a store is known here; libraries
such as NumPy are loaded only when one of their values is met.
"""

from nbflow.serde.codec import Opaque
from nbflow.serde.codecs import register
from nbflow.serde.fingerprint import fingerprint, fingerprint_exact
from nbflow.serde.paths import redacted_paths
from nbflow.serde.preview import preview
from nbflow.serde.redact import Redacted, is_secret_name
from nbflow.serde.streams import Content
from nbflow.serde.tree import Encoded, decode, encode, encode_with_report

__all__ = [
    "Content",
    "Encoded",
    "Opaque",
    "Redacted",
    "decode",
    "encode",
    "encode_with_report",
    "fingerprint",
    "fingerprint_exact",
    "is_secret_name",
    "preview",
    "redacted_paths",
    "register",
]
