use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;

use super::super::encrypt::{EncryptError, LONGEST, USUAL, encrypt, encrypt_padded, record};
use super::{browser, bytes, once, opened};

#[test]
fn the_message_of_rfc_8291_appendix_a_is_made_to_the_byte() {
    let payload = b"When I grow up, I want to be a watermelon";
    let body = encrypt_padded(&browser().0, payload, payload.len(), &once()).unwrap();
    assert_eq!(
        URL_SAFE_NO_PAD.encode(body),
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    );
}

#[test]
fn a_padded_message_is_the_one_that_another_implementation_opened() {
    // Made with python-cryptography, opened by http_ece 1.2.1.
    let payload = b"When I grow up, I want to be a watermelon";
    let body = encrypt(&browser().0, payload, &once()).unwrap();
    assert_eq!(
        URL_SAFE_NO_PAD.encode(crate::keyring::sha256(&body)),
        "SxBIMV4zZIhPWxkLPB4-lsNg5oQaLU6VTYxRvY1S1Ag"
    );
}

#[test]
fn the_record_of_rfc_8188_section_3_1_is_made_to_the_byte() {
    let payload = b"I am the walrus";
    let body = record(
        &bytes::<16>("yqdlZ-tYemfogSmv7Ws5PQ"),
        &bytes("I1BsxtFttlv3u_Oo94xnmw"),
        b"",
        payload,
        payload.len(),
    );
    assert_eq!(
        URL_SAFE_NO_PAD.encode(body.unwrap()),
        "I1BsxtFttlv3u_Oo94xnmwAAEAAA-NAVub2qFgBEuQKRapoZu-IxkIva3MEB1PD-ly8Thjg"
    );
}

#[test]
fn a_body_tells_nothing_of_the_payloads_length() {
    let (keys, private) = browser();
    for (length, padded) in [
        (0, USUAL),
        (1, USUAL),
        (USUAL, USUAL),
        (USUAL + 1, LONGEST),
        (LONGEST, LONGEST),
    ] {
        let payload = vec![7; length];
        let body = encrypt(&keys, &payload, &once()).unwrap();
        assert_eq!(body.len(), 86 + padded + 17);
        assert!(body.len() <= 4096);
        let plain = opened(&keys, &private, &body).unwrap();
        let (read, padding) = plain.split_at(length);
        assert_eq!(read, payload);
        assert_eq!(padding[0], 2);
        assert!(padding[1..].iter().all(|byte| *byte == 0));
    }
    let long = encrypt(&keys, &[0; LONGEST + 1], &once());
    assert_eq!(long, Err(EncryptError::TooLong));
}

#[test]
fn a_key_that_is_no_point_of_the_curve_is_refused() {
    let mut keys = browser().0;
    keys.p256dh[64] ^= 1;
    assert_eq!(encrypt(&keys, b"", &once()), Err(EncryptError::Key));
    let mut keys = browser().0;
    keys.p256dh[0] = 6;
    assert_eq!(encrypt(&keys, b"", &once()), Err(EncryptError::Key));
    keys.p256dh = [0; 65];
    assert_eq!(encrypt(&keys, b"", &once()), Err(EncryptError::Key));
}

proptest! {
    #[test]
    fn a_flipped_bit_never_opens(payload in any::<Vec<u8>>(), at in 0_usize..1127, bit in 0_u8..8) {
        let (keys, private) = browser();
        let mut body = encrypt(&keys, &payload, &once()).unwrap();
        prop_assert!(opened(&keys, &private, &body).is_some());
        // Record size and key id length are the reader's to check.
        if !(16..21).contains(&at) {
            body[at] ^= 1 << bit;
            prop_assert!(opened(&keys, &private, &body).is_none());
        }
    }
}
