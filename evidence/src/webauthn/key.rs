//! Public keys of passkeys, as COSE keys (RFC 9052 §7, RFC 9053, RFC 8230).
//!
//! A key is kept as its COSE bytes. Since only the canonical form with exactly the required members is accepted
//! (§6.5.1: "MUST NOT contain any other OPTIONAL parameters"), one key has one text.

use super::WebauthnError;
use super::cbor::Reader;

/// RSA keys of 2048 to 8192 bits: what the crypto library verifies.
const RSA_MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;
/// 65537, the exponent of every TPM (TPM 2.0 Library, part 2, `TPMS_RSA_PARMS`: zero stands for it).
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];

/// How a passkey signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256: nearly all of them.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSA PKCS #1 v1.5 with SHA-256: Windows Hello on some machines.
    Rs256,
}

impl Algorithm {
    /// All of them, the one to prefer first, as `pubKeyCredParams` wants it.
    pub const ALL: [Algorithm; 3] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256];

    /// The number in the IANA registry "COSE Algorithms".
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Algorithm::Es256 => -7,
            Algorithm::EdDsa => -8,
            Algorithm::Rs256 => -257,
        }
    }

    /// The name, as in JOSE.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Es256 => "ES256",
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Rs256 => "RS256",
        }
    }
}

/// What the key consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Material {
    /// The uncompressed point: `04`, x, y.
    P256([u8; 65]),
    Ed25519([u8; 32]),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

/// A public key. That it is a point on its curve is known only after `check_sound` (feature `signatures`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    cose: Vec<u8>,
    pub(super) material: Material,
}

impl PublicKey {
    /// Reads a key from its COSE bytes, to the last of them.
    ///
    /// # Errors
    /// [`WebauthnError::Algorithm`], [`WebauthnError::Key`], [`WebauthnError::Cbor`].
    pub fn from_cose(bytes: &[u8]) -> Result<Self, WebauthnError> {
        let mut reader = Reader::new(bytes);
        let key = PublicKey::read(&mut reader)?;
        reader.end()?;
        Ok(key)
    }

    /// Reads a key and leaves the reader behind it. The members come in canonical order: 1, 3, −1, −2, −3.
    pub(super) fn read(reader: &mut Reader) -> Result<Self, WebauthnError> {
        let start = reader.rest();
        let members = reader.map()?;
        let kty = member(reader, 1, Reader::integer)?;
        let alg = member(reader, 3, Reader::integer)?;
        let algorithm = Algorithm::ALL
            .into_iter()
            .find(|known| known.number() == alg)
            .ok_or(WebauthnError::Algorithm)?;
        let (expected_kty, expected_members) = match algorithm {
            Algorithm::Es256 => (2, 5),
            Algorithm::EdDsa => (1, 4),
            Algorithm::Rs256 => (3, 4),
        };
        if (kty, members) != (expected_kty, expected_members) {
            return Err(WebauthnError::Key);
        }
        let material = match algorithm {
            Algorithm::Es256 => {
                curve(reader, 1)?;
                // §5.8.5: the compressed form, in which y is a boolean, must not be used.
                let (x, y) = (
                    member(reader, -2, Reader::bytes)?,
                    member(reader, -3, Reader::bytes)?,
                );
                if x.len() != 32 || y.len() != 32 {
                    return Err(WebauthnError::Key);
                }
                let point = [&[4][..], x, y].concat();
                Material::P256(point.try_into().map_err(|_| WebauthnError::Key)?)
            }
            Algorithm::EdDsa => {
                curve(reader, 6)?;
                let x = member(reader, -2, Reader::bytes)?;
                Material::Ed25519(x.try_into().map_err(|_| WebauthnError::Key)?)
            }
            Algorithm::Rs256 => {
                let modulus = member(reader, -1, Reader::bytes)?;
                let exponent = member(reader, -2, Reader::bytes)?;
                // RFC 8230 §4: no leading zero octets.
                let well_formed = RSA_MODULUS.contains(&modulus.len())
                    && modulus.first().is_some_and(|&first| first != 0)
                    && modulus.last().is_some_and(|last| last & 1 == 1)
                    && exponent == RSA_EXPONENT;
                if !well_formed {
                    return Err(WebauthnError::Key);
                }
                Material::Rsa {
                    modulus: modulus.to_vec(),
                    exponent: exponent.to_vec(),
                }
            }
        };
        let length = start.len() - reader.rest().len();
        Ok(PublicKey {
            cose: start[..length].to_vec(),
            material,
        })
    }

    /// The COSE bytes: how the key is kept.
    #[must_use]
    pub fn as_cose(&self) -> &[u8] {
        &self.cose
    }

    /// How it signs.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
            Material::Rsa { .. } => Algorithm::Rs256,
        }
    }
}

fn member<'a, T>(
    reader: &mut Reader<'a>,
    label: i64,
    value: impl FnOnce(&mut Reader<'a>) -> Result<T, super::CborError>,
) -> Result<T, WebauthnError> {
    if reader.integer()? != label {
        return Err(WebauthnError::Key);
    }
    Ok(value(reader)?)
}

fn curve(reader: &mut Reader, expected: i64) -> Result<(), WebauthnError> {
    if member(reader, -1, Reader::integer)? == expected {
        Ok(())
    } else {
        Err(WebauthnError::Key)
    }
}

#[cfg(test)]
mod tests {
    use super::super::CborError;
    use super::*;

    fn p256() -> Vec<u8> {
        [
            &b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"[..],
            &[7; 32],
            b"\x22\x58\x20",
            &[8; 32],
        ]
        .concat()
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
        let length = match u8::try_from(modulus.len()) {
            Ok(short) => vec![0x58, short],
            Err(_) => [
                &[0x59][..],
                &u16::try_from(modulus.len()).unwrap().to_be_bytes(),
            ]
            .concat(),
        };
        let short = u8::try_from(exponent.len()).unwrap();
        [
            &b"\xa4\x01\x03\x03\x39\x01\x00\x20"[..],
            &length,
            modulus,
            &[0x21, 0x40 | short],
            exponent,
        ]
        .concat()
    }

    #[test]
    fn a_key_of_each_algorithm_is_read() {
        let key = PublicKey::from_cose(&p256()).unwrap();
        assert_eq!(key.algorithm(), Algorithm::Es256);
        assert_eq!(key.as_cose(), p256());
        let ed = [&b"\xa4\x01\x01\x03\x27\x20\x06\x21\x58\x20"[..], &[7; 32]].concat();
        let key = PublicKey::from_cose(&ed).unwrap();
        assert_eq!(key.algorithm(), Algorithm::EdDsa);
        let key = PublicKey::from_cose(&rsa(&[0xc1; 256], &[1, 0, 1])).unwrap();
        assert_eq!(key.algorithm(), Algorithm::Rs256);
    }

    #[test]
    fn another_algorithm_is_refused_by_name() {
        // ES384 (−35), ES256K (−47), PS256 (−37), RS1 (−65535).
        for alg in [&b"\x38\x22"[..], b"\x38\x2e", b"\x38\x24", b"\x39\xff\xfe"] {
            let key = [&b"\xa5\x01\x02\x03"[..], alg, &p256()[5..]].concat();
            assert_eq!(PublicKey::from_cose(&key), Err(WebauthnError::Algorithm));
        }
    }

    #[test]
    fn an_algorithm_with_another_kind_of_key_is_refused() {
        let change = |at: usize, to: u8| {
            let mut key = p256();
            key[at] = to;
            PublicKey::from_cose(&key)
        };
        // kty OKP, kty RSA; curve P-384; Ed25519 for an EC2 key; labels in another order.
        for (at, to) in [(2, 1), (2, 3), (6, 2), (4, 0x27), (1, 2), (7, 0x22)] {
            assert_eq!(change(at, to), Err(WebauthnError::Key), "{at} {to}");
        }
        // y as a boolean: the compressed form.
        let mut compressed = p256()[..42].to_vec();
        compressed.extend_from_slice(b"\x22\xf5");
        assert_eq!(
            PublicKey::from_cose(&compressed),
            Err(WebauthnError::Cbor(CborError::Unexpected))
        );
        let mut more = p256();
        more.push(0);
        assert_eq!(
            PublicKey::from_cose(&more),
            Err(WebauthnError::Cbor(CborError::Trailing))
        );
        for length in 0..p256().len() {
            let cut = PublicKey::from_cose(&p256()[..length]);
            assert_eq!(
                cut,
                Err(WebauthnError::Cbor(CborError::Truncated)),
                "{length}"
            );
        }
    }

    #[test]
    fn a_weak_or_odd_rsa_key_is_refused() {
        let mut even = [0xc1; 256];
        even[255] = 2;
        let mut padded = [0xc1; 257];
        padded[0] = 0;
        for (modulus, exponent) in [
            (&[0xc1; 128][..], &[1, 0, 1][..]),
            (&[0xc1; 1025], &[1, 0, 1]),
            (&even, &[1, 0, 1]),
            (&padded, &[1, 0, 1]),
            (&[0xc1; 256], &[3]),
            (&[0xc1; 256], &[0, 1, 0, 1]),
            (&[0xc1; 256], &[1]),
        ] {
            let key = PublicKey::from_cose(&rsa(modulus, exponent));
            assert_eq!(key, Err(WebauthnError::Key));
        }
    }
}
