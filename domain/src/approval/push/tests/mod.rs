//! The browser that the tests encrypt for, and what it opens.

mod encryption;
mod sending;
mod subscribing;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::Keys;
use super::encrypt::Once;
use crate::secret::Secret;

const CONTACT: &str = "mailto:ops@attorn.test";

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap()
}

/// The browser of RFC 8291, appendix A: its keys, and the private one.
fn browser() -> (Keys, [u8; 32]) {
    let keys = Keys {
        p256dh: bytes(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        ),
        auth: Secret::new(bytes("BTBZMqHH6r4Tts7J_aSIgg")),
    };
    (keys, bytes("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"))
}

/// The randomness of RFC 8291, appendix A.
fn once() -> Once {
    Once {
        salt: bytes("DGv6ra1nlYgDCS1FRnbzlw"),
        private_key: Zeroizing::new(bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")),
    }
}

/// HMAC-SHA-256, cut: HKDF's first block, written out as RFC 8291 §3.4 does.
fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    context.sign().as_ref().to_vec()
}

/// What the browser does with a body: the payload and its padding, still together.
fn opened(keys: &Keys, private: &[u8; 32], body: &[u8]) -> Option<Vec<u8>> {
    let (salt, rest) = body.split_first_chunk::<16>()?;
    let (head, rest) = rest.split_first_chunk::<5>()?;
    assert_eq!(head, &[0, 0, 16, 0, 65]);
    let (sender, sealed) = rest.split_first_chunk::<65>()?;
    let own = PrivateKey::from_private_key(&ECDH_P256, private).unwrap();
    let peer = UnparsedPublicKey::new(&ECDH_P256, sender);
    let secret = agree(&own, peer, (), |secret| Ok(secret.to_vec())).ok()?;
    let prk = hmac_sha256(keys.auth.expose(), &[&secret]);
    let ikm = hmac_sha256(&prk, &[b"WebPush: info\0", &keys.p256dh, sender, &[1]]);
    let prk = hmac_sha256(salt, &[&ikm]);
    let cek = &hmac_sha256(&prk, &[b"Content-Encoding: aes128gcm\0\x01"])[..16];
    let nonce = &hmac_sha256(&prk, &[b"Content-Encoding: nonce\0\x01"])[..12];
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, cek).unwrap());
    let mut plain = sealed.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
    let plain = key.open_in_place(nonce, Aad::empty(), &mut plain).ok()?;
    Some(plain.to_vec())
}
