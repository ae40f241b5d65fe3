use super::*;
use crate::digest::{array_from_hex, from_hex, hex};
use proptest::prelude::*;

/// The leaves and roots that Certificate Transparency's own test suites use, by tree size.
const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn published_leaves() -> Vec<Hash> {
    LEAVES
        .iter()
        .map(|leaf| leaf_hash(&from_hex(leaf).unwrap()))
        .collect()
}

fn hashes(texts: &[&str]) -> Vec<Hash> {
    texts
        .iter()
        .map(|text| array_from_hex(text).unwrap())
        .collect()
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count)
        .map(|index| leaf_hash(&index.to_be_bytes()))
        .collect()
}

#[test]
fn roots_are_those_of_certificate_transparency() {
    let leaves = published_leaves();
    let mut frontier = Frontier::new();
    for (size, expected) in ROOTS.iter().enumerate() {
        assert_eq!(hex(&root(&leaves[..size])), *expected);
        assert_eq!(hex(&frontier.root()), *expected);
        if let Some(leaf) = leaves.get(size) {
            assert_eq!(frontier.append(*leaf), size as u64);
        }
    }
}

#[test]
fn proofs_are_those_of_certificate_transparency() {
    let leaves = published_leaves();
    let inclusion = hashes(&[
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]);
    assert_eq!(inclusion_proof(&leaves, 5), Some(inclusion));
    let consistency = hashes(&[
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]);
    assert_eq!(consistency_proof(&leaves, 6), Some(consistency));
}

#[test]
fn every_leaf_of_every_tree_up_to_64_proves_its_place_and_no_other() {
    let all = leaves(64);
    for size in 1..=64 {
        let tree = &all[..size as usize];
        let root = root(tree);
        for (index, leaf) in (0..).zip(tree) {
            let proof = inclusion_proof(tree, index).unwrap();
            assert!(verify_inclusion(leaf, index, size, &proof, &root));
            for other in 0..=size {
                assert_eq!(
                    verify_inclusion(leaf, other, size, &proof, &root),
                    other == index,
                    "leaf {index} of {size} as {other}"
                );
            }
            let longer = [proof.as_slice(), &[*leaf]].concat();
            assert!(!verify_inclusion(leaf, index, size, &longer, &root));
            if let Some((_, shorter)) = proof.split_last() {
                assert!(!verify_inclusion(leaf, index, size, shorter, &root));
            }
        }
        assert_eq!(inclusion_proof(tree, size), None);
    }
}

#[test]
fn every_tree_up_to_64_proves_that_it_began_as_each_smaller_one() {
    let all = leaves(64);
    let another_root = leaf_hash(b"another history");
    for size in 0..=64 {
        let tree = &all[..size as usize];
        let new_root = root(tree);
        for old_size in 0..=size {
            let old_root = root(&tree[..old_size as usize]);
            let proof = consistency_proof(tree, old_size).unwrap();
            let holds =
                |old_root, proof| verify_consistency(old_size, size, proof, old_root, &new_root);
            assert!(holds(&old_root, &proof), "{old_size} of {size}");
            assert!(!holds(&another_root, &proof));
            let longer = [proof.as_slice(), &[old_root]].concat();
            assert!(!holds(&old_root, &longer));
            if let Some((_, shorter)) = proof.split_last() {
                assert!(!holds(&old_root, shorter));
            }
        }
        assert_eq!(consistency_proof(tree, size + 1), None);
    }
}

#[test]
fn a_written_frontier_goes_on_where_it_stopped() {
    let all = leaves(40);
    for stop in 0..all.len() {
        let before: Frontier = all[..stop].iter().copied().collect();
        let written = serde_json::to_string(&before).unwrap();
        let mut after: Frontier = serde_json::from_str(&written).unwrap();
        assert_eq!(after, before);
        after.extend(all[stop..].iter().copied());
        assert_eq!(after.root(), root(&all));
    }
}

#[test]
fn a_frontier_that_cannot_be_is_refused() {
    for text in [
        r#"{"size":1,"edge":[]}"#,
        r#"{"size":0,"edge":["00"]}"#,
        r#"{"size":1,"edge":["00"]}"#,
        r#"{"size":0,"edge":[],"more":1}"#,
    ] {
        assert!(serde_json::from_str::<Frontier>(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn the_frontier_has_the_root_of_the_whole_tree(count in 0u64..600) {
        let all = leaves(count);
        let frontier: Frontier = all.iter().copied().collect();
        prop_assert_eq!(frontier.root(), root(&all));
        prop_assert_eq!(frontier.size(), count);
    }

    #[test]
    fn a_flipped_bit_in_an_inclusion_proof_never_verifies(
        size in 1u64..200, at in any::<prop::sample::Index>(), which in any::<prop::sample::Index>(), bit in 0usize..256,
    ) {
        let all = leaves(size);
        let index = at.index(all.len());
        let mut proof = inclusion_proof(&all, index as u64).unwrap();
        let mut leaf = all[index];
        let mut root = root(&all);
        let chosen = which.index(proof.len() + 2);
        let place = match chosen.checked_sub(2) {
            Some(step) => &mut proof[step],
            None if chosen == 0 => &mut leaf,
            None => &mut root,
        };
        place[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!verify_inclusion(&leaf, index as u64, size, &proof, &root));
    }

    #[test]
    fn a_flipped_bit_in_a_consistency_proof_never_verifies(
        size in 2u64..200, old in any::<prop::sample::Index>(), which in any::<prop::sample::Index>(), bit in 0usize..256,
    ) {
        let all = leaves(size);
        let old_size = 1 + old.index(all.len() - 1) as u64;
        let mut proof = consistency_proof(&all, old_size).unwrap();
        let mut old_root = root(&all[..old_size as usize]);
        let mut new_root = root(&all);
        let chosen = which.index(proof.len() + 2);
        let place = match chosen.checked_sub(2) {
            Some(step) => &mut proof[step],
            None if chosen == 0 => &mut old_root,
            None => &mut new_root,
        };
        place[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!verify_consistency(old_size, size, &proof, &old_root, &new_root));
    }
}
