//! The Merkle tree of Certificate Transparency (RFC 9162 §2.1, the same tree as RFC 6962 §2.1).
//!
//! Everything here takes leaf *hashes* ([`leaf_hash`]); the leaves themselves may be anything. Checking a proof needs
//! no tree at all, only a root somebody trusts.

use crate::digest::{self, Hash, sha256, sha256_of};
use crate::json::MAX_SAFE_INTEGER;
use serde::{Deserialize, Serialize};

/// The hash of a leaf: SHA-256 of `0x00 || leaf` (RFC 9162 §2.1.1). The prefix keeps a leaf from posing as a node.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    sha256_of(&[&[0], leaf])
}

/// The hash of an inner node: SHA-256 of `0x01 || left || right` (RFC 9162 §2.1.1).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256_of(&[&[1], left, right])
}

/// The root of the tree over these leaf hashes; of no leaves it is SHA-256 of nothing (RFC 9162 §2.1.1).
#[must_use]
pub fn root(leaf_hashes: &[Hash]) -> Hash {
    match leaf_hashes {
        [] => sha256(b""),
        [only] => *only,
        _ => {
            let (left, right) = split(leaf_hashes);
            node_hash(&root(left), &root(right))
        }
    }
}

/// At the largest power of two smaller than the length, which must be at least 2.
fn split(leaf_hashes: &[Hash]) -> (&[Hash], &[Hash]) {
    leaf_hashes.split_at(leaf_hashes.len().next_power_of_two() / 2)
}

/// The right edge of a tree: all that is needed to append leaves and to know the root, in at most 64 hashes.
///
/// A sequencer keeps this beside the tree size and never reads the tree. As JSON: `{"size":3,"edge":["hex","hex"]}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "WrittenFrontier", try_from = "WrittenFrontier")]
pub struct Frontier {
    size: u64,
    /// Roots of the full subtrees from left (largest) to right: one for every bit set in `size`.
    edge: Vec<Hash>,
}

impl Frontier {
    /// The edge of the empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many leaves the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds one leaf at the right and gives its index.
    pub fn append(&mut self, leaf_hash: Hash) -> u64 {
        let index = self.size;
        let mut node = leaf_hash;
        // As in counting in binary: every trailing 1 is a full subtree of the same height as `node`.
        for _ in 0..index.trailing_ones() {
            if let Some(left) = self.edge.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.edge.push(node);
        self.size += 1;
        index
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut subtrees = self.edge.iter().rev().copied();
        match subtrees.next() {
            None => sha256(b""),
            Some(rightmost) => subtrees.fold(rightmost, |right, left| node_hash(&left, &right)),
        }
    }
}

impl Extend<Hash> for Frontier {
    fn extend<I: IntoIterator<Item = Hash>>(&mut self, leaf_hashes: I) {
        for leaf_hash in leaf_hashes {
            self.append(leaf_hash);
        }
    }
}

impl FromIterator<Hash> for Frontier {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaf_hashes: I) -> Self {
        let mut frontier = Frontier::new();
        frontier.extend(leaf_hashes);
        frontier
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFrontier {
    size: u64,
    edge: Vec<String>,
}

impl From<Frontier> for WrittenFrontier {
    fn from(frontier: Frontier) -> Self {
        WrittenFrontier {
            size: frontier.size,
            edge: frontier.edge.iter().map(|hash| digest::hex(hash)).collect(),
        }
    }
}

impl TryFrom<WrittenFrontier> for Frontier {
    type Error = String;

    fn try_from(written: WrittenFrontier) -> Result<Self, String> {
        let edge = written
            .edge
            .iter()
            .map(|hash| digest::array_from_hex(hash).map_err(|error| error.to_string()))
            .collect::<Result<Vec<Hash>, _>>()?;
        if written.size > MAX_SAFE_INTEGER.unsigned_abs() {
            return Err("the tree size is beyond 2^53-1".to_owned());
        }
        if edge.len() != written.size.count_ones() as usize {
            return Err(format!(
                "a tree of {} leaves has {} hashes on its edge, not {}",
                written.size,
                written.size.count_ones(),
                edge.len()
            ));
        }
        Ok(Frontier {
            size: written.size,
            edge,
        })
    }
}

/// The proof that leaf `index` is in the tree over all of `leaf_hashes` (RFC 9162 §2.1.3.1), from the leaf upwards.
/// `None` if there is no such leaf.
#[must_use]
pub fn inclusion_proof(leaf_hashes: &[Hash], index: u64) -> Option<Vec<Hash>> {
    let index = usize::try_from(index).ok()?;
    if index >= leaf_hashes.len() {
        return None;
    }
    let mut proof = Vec::new();
    path(leaf_hashes, index, &mut proof);
    Some(proof)
}

fn path(leaf_hashes: &[Hash], index: usize, proof: &mut Vec<Hash>) {
    if leaf_hashes.len() < 2 {
        return;
    }
    let (left, right) = split(leaf_hashes);
    if index < left.len() {
        path(left, index, proof);
        proof.push(root(right));
    } else {
        path(right, index - left.len(), proof);
        proof.push(root(left));
    }
}

/// Checks an inclusion proof (RFC 9162 §2.1.3.2): leaf `index` with this hash is in the tree of `size` leaves with
/// this root. Exactly the proof [`inclusion_proof`] makes passes; a longer or shorter one does not.
#[must_use]
pub fn verify_inclusion(
    leaf_hash: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf_hash;
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            climb_past_missing_siblings(&mut node, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// A node at the right edge without a sibling rises unchanged; the proof has no hash for those levels.
fn climb_past_missing_siblings(node: &mut u64, last: &mut u64) {
    while *node & 1 == 0 && *node != 0 {
        *node >>= 1;
        *last >>= 1;
    }
}

/// The proof that the tree over all of `leaf_hashes` begins with the tree over its first `old_size` (RFC 9162
/// §2.1.4.1). Empty for an `old_size` of 0 or of the whole tree. `None` if `old_size` is larger than the tree.
#[must_use]
pub fn consistency_proof(leaf_hashes: &[Hash], old_size: u64) -> Option<Vec<Hash>> {
    let old_size = usize::try_from(old_size).ok()?;
    if old_size > leaf_hashes.len() {
        return None;
    }
    let mut proof = Vec::new();
    if old_size > 0 {
        subproof(leaf_hashes, old_size, true, &mut proof);
    }
    Some(proof)
}

/// `known` says that this subtree is the whole old tree, whose root the checker has.
fn subproof(leaf_hashes: &[Hash], old_size: usize, known: bool, proof: &mut Vec<Hash>) {
    if old_size == leaf_hashes.len() {
        if !known {
            proof.push(root(leaf_hashes));
        }
        return;
    }
    let (left, right) = split(leaf_hashes);
    if old_size <= left.len() {
        subproof(left, old_size, known, proof);
        proof.push(root(right));
    } else {
        subproof(right, old_size - left.len(), false, proof);
        proof.push(root(left));
    }
}

/// Checks a consistency proof (RFC 9162 §2.1.4.2): the tree of `size` leaves begins with the one of `old_size`.
/// Every tree begins with the empty one, and with itself; both need an empty proof.
#[must_use]
pub fn verify_consistency(
    old_size: u64,
    size: u64,
    proof: &[Hash],
    old_root: &Hash,
    root: &Hash,
) -> bool {
    if old_size > size {
        return false;
    }
    if old_size == 0 {
        return proof.is_empty() && *old_root == sha256(b"") && (size > 0 || root == old_root);
    }
    if old_size == size {
        return proof.is_empty() && old_root == root;
    }
    // An old tree that is one full subtree is its own first hash, and the proof leaves it out.
    let (first, rest) = match proof.split_first() {
        None => return false,
        Some(_) if old_size.is_power_of_two() => (old_root, proof),
        Some(split) => split,
    };
    let levels = (old_size - 1).trailing_ones();
    let (mut node, mut last) = ((old_size - 1) >> levels, (size - 1) >> levels);
    let (mut old_hash, mut hash) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            hash = node_hash(sibling, &hash);
            climb_past_missing_siblings(&mut node, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && hash == *root
}

#[cfg(test)]
mod tests;
