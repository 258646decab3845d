"""A second implementation of the ledger, straight from the definitions and as slow as they are.

RFC 6962 section 2.1 (tree, inclusion, consistency), RFC 9162 section 2.1.4.2 (verifying
consistency), C2SP tlog-checkpoint and signed-note, and PostgreSQL's binary COPY for one row. It
shares no code with the product.
"""

import base64
import hashlib
import struct
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def MTH(d):
    """The Merkle tree hash of a list of entries."""
    n = len(d)
    if n == 0:
        return hashlib.sha256(b"").digest()
    if n == 1:
        return hashlib.sha256(b"\x00" + d[0]).digest()
    k = split(n)
    return hashlib.sha256(b"\x01" + MTH(d[:k]) + MTH(d[k:])).digest()


def PATH(m, d):
    """The audit path for the entry with index m."""
    n = len(d)
    if n == 1:
        return []
    k = split(n)
    if m < k:
        return [*PATH(m, d[:k]), MTH(d[k:])]
    return [*PATH(m - k, d[k:]), MTH(d[:k])]


def PROOF(m, d):
    """The consistency proof for the first m entries."""
    return SUBPROOF(m, d, True)


def SUBPROOF(m, d, b):
    n = len(d)
    if m == n:
        return [] if b else [MTH(d)]
    k = split(n)
    if m <= k:
        return [*SUBPROOF(m, d[:k], b), MTH(d[k:])]
    return [*SUBPROOF(m - k, d[k:], False), MTH(d[:k])]


def split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def root_of_path(entry, m, n, path):
    """The root that a path leads to, by the definition of the path read backwards."""
    if n == 1:
        assert path == []
        return hashlib.sha256(b"\x00" + entry).digest()
    k = split(n)
    *rest, sibling = path
    if m < k:
        pair = root_of_path(entry, m, k, rest) + sibling
    else:
        pair = sibling + root_of_path(entry, m - k, n - k, rest)
    return hashlib.sha256(b"\x01" + pair).digest()


def consistent(first, second, first_root, second_root, path):
    """Whether a consistency proof holds (RFC 9162, 2.1.4.2)."""
    if first == second:
        return not path and first_root == second_root
    path = list(path)
    if first & (first - 1) == 0:
        path.insert(0, first_root)
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr = hashlib.sha256(b"\x01" + c + fr).digest()
            sr = hashlib.sha256(b"\x01" + c + sr).digest()
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = hashlib.sha256(b"\x01" + sr + c).digest()
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == first_root and sr == second_root


def entry_of(position, stream_id, version, tenant, topic, state, recorded_at):
    """One row as PostgreSQL writes it in a binary COPY."""
    micros = (recorded_at - datetime(2000, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    fields = [
        struct.pack(">q", position),
        stream_id.bytes,
        struct.pack(">q", version),
        tenant.encode(),
        topic.encode(),
        bytes(state),
        struct.pack(">q", micros),
    ]
    return struct.pack(">h", len(fields)) + b"".join(
        struct.pack(">i", len(field)) + field for field in fields
    )


def open_note(note, key):
    """The origin, size and root of a checkpoint. Asserts that `key` has signed it."""
    name, id, encoded = key.split("+", 2)
    kind_and_key = base64.b64decode(encoded)
    assert kind_and_key[0] == 1
    key_id = hashlib.sha256(name.encode() + b"\n" + kind_and_key).digest()[:4]
    assert key_id.hex() == id
    text, _, signatures = note.rpartition("\n\n")
    (line,) = [each for each in signatures.splitlines() if each.startswith(f"— {name} ")]
    signature = base64.b64decode(line.split(" ")[2])
    assert signature[:4] == key_id
    public = Ed25519PublicKey.from_public_bytes(kind_and_key[1:])
    public.verify(signature[4:], f"{text}\n".encode())
    origin, size, root = text.split("\n")
    assert origin == name
    return origin, int(size), base64.b64decode(root)
