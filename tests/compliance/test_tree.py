"""The tree against its definitions."""

import hashlib
import random

import pytest

from infrastructure.ledger import tree
from infrastructure.ledger.checkpoints import Keys, NotTrusted, Signer, parse, public_key
from infrastructure.ledger.tree import Growing, Subtree
from tests.compliance import rfc6962

ENTRIES = [b"entry %d" % n for n in range(300)]
LEAVES = [tree.leaf_hash(entry) for entry in ENTRIES]
ORIGIN = "example.com/log"


def hashes(siblings):
    def root(part):
        first = part.number << part.height
        return rfc6962.MTH(ENTRIES[first : first + (1 << part.height)])

    return [tree.joined(map(root, sibling)) for sibling in siblings]


def test_the_known_roots_of_rfc_6962():
    # The test vectors of certificate transparency's reference implementation.
    vectors = ["", "00", "10", "2021", "3031", "40414243"]
    growing = Growing()
    growing.extend([tree.leaf_hash(bytes.fromhex(each)) for each in vectors])
    assert growing.root.hex() == "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"
    assert tree.EMPTY == hashlib.sha256(b"").digest() == Growing().root


def test_a_tree_grows_to_the_defined_root_however_it_is_fed():
    dice = random.Random(1)
    for size in [*range(1, 40), 255, 256, 257, 300]:
        growing, complete = Growing(), {}
        while growing.size < size:
            step = dice.randint(1, size - growing.size)
            complete |= dict(growing.extend(LEAVES[growing.size : growing.size + step]))
        assert growing.root == rfc6962.MTH(ENTRIES[:size])
        assert set(complete) == {Subtree(8, n) for n in range(size // 256)}
        assert all(root == rfc6962.MTH(ENTRIES[:256]) for root in complete.values())


def test_subtrees_are_told_at_every_kept_height():
    growing, complete = Growing(), {}
    leaf = tree.leaf_hash(b"")
    for step in (1, 255, 70_000, 3, 61_000):
        complete |= dict(growing.extend([leaf] * step))
    assert {part.number for part in complete if part.height == 8} == set(range(131_259 // 256))
    assert {part.number for part in complete if part.height == 16} == {0, 1}


def test_a_tree_is_put_together_from_pieces():
    for height in range(6):
        for size in range(70):
            whole, step = Growing(), 1 << height
            for since in range(0, size, step):
                piece = Growing()
                piece.extend(LEAVES[since : min(since + step, size)])
                whole.append(piece.size, piece.edge)
            assert (whole.size, whole.root) == (size, rfc6962.MTH(ENTRIES[:size]))


def test_a_tree_goes_on_from_its_right_edge():
    for size in range(1, 60):
        edge = [
            rfc6962.MTH(ENTRIES[p.number << p.height : (p.number + 1) << p.height])
            for p in tree.cover(0, size)
        ]
        growing = Growing(size, edge)
        growing.extend(LEAVES[size:70])
        assert growing.root == rfc6962.MTH(ENTRIES[:70])


def test_proofs_are_those_of_the_definition_and_lead_to_the_root():
    for size in [*range(1, 34), 64, 100]:
        root = rfc6962.MTH(ENTRIES[:size])
        for index in range(size):
            path = hashes(tree.inclusion(index, size))
            assert path == rfc6962.PATH(index, ENTRIES[:size])
            assert tree.root_by_inclusion(LEAVES[index], index, size, path) == root
            assert tree.root_by_inclusion(LEAVES[index], index, size, [*path, root]) != root
            assert not path or tree.root_by_inclusion(LEAVES[index], index, size, path[:-1]) != root
        for earlier in range(1, size + 1):
            proof = hashes(tree.consistency(earlier, size))
            assert proof == rfc6962.PROOF(earlier, ENTRIES[:size])
            before = rfc6962.MTH(ENTRIES[:earlier])
            assert rfc6962.consistent(earlier, size, before, root, proof)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_there_is_no_proof_of_what_is_not_there(index, size):
    with pytest.raises(ValueError, match="no leaf"):
        tree.inclusion(index, size)
    with pytest.raises(ValueError, match="continues none"):
        tree.consistency(size + 1, size)


def test_a_checkpoint_is_read_by_another_implementation():
    signer = Signer("a secret that is long enough for this")
    keys = Keys(ORIGIN, [signer.public])
    head = signer.sign(ORIGIN, 300, rfc6962.MTH(ENTRIES))
    (written,) = keys.written()
    assert rfc6962.open_note(head.note(), written) == (ORIGIN, 300, rfc6962.MTH(ENTRIES))
    assert public_key(written) == signer.public
    assert list(parse(head.note() + "\n" + head.note())) == [head, head]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda note: note.replace("300", "301"), "does not hold"),
        (lambda note: note.replace("example.com/log", "example.com/lag"), "another log"),
        (lambda note: note.replace("\n300\n", "\n0300\n"), "does not begin a checkpoint"),
        (lambda note: note.replace("— ", "- "), "does not begin a checkpoint"),
        (lambda note: note + "and more", "line 6"),
    ],
)
def test_a_checkpoint_with_a_fault_proves_nothing(change, reason):
    signer = Signer("a secret that is long enough for this")
    note = change(signer.sign(ORIGIN, 300, rfc6962.MTH(ENTRIES)).note())
    with pytest.raises(NotTrusted, match=reason):
        for head in parse(note):
            Keys(ORIGIN, [signer.public]).check(head)


def test_a_checkpoint_of_another_key_proves_nothing():
    head = Signer("somebody else's secret").sign(ORIGIN, 3, bytes(32))
    with pytest.raises(NotTrusted, match="not known here"):
        Keys(ORIGIN, [Signer("our secret").public]).check(head)


@pytest.mark.parametrize("text", ["", "a+b", "a+00000000+AQ==", "a+00000000+!!"])
def test_what_is_no_public_key_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        public_key(text)
