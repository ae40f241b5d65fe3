//! Reading CBOR (RFC 8949), as much of it as authenticators write.
//!
//! Only the CTAP2 canonical encoding form (CTAP 2.1 §8): shortest heads, definite lengths, sorted and distinct map
//! keys, no tags. So one value has one text, and two readers cannot disagree.

/// How deep what is passed over may nest (CTAP2: "the depth of nested CBOR structures … at most four"; the outermost
/// map is the first).
const MAX_DEPTH: usize = 4;
/// How many bytes of extension outputs are passed over at most; what authenticators send has some tens.
pub(super) const MAX_SKIPPED: usize = 4 * 1024;

/// Why CBOR was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// The input ends inside an item.
    #[error("it ends inside an item")]
    Truncated,
    /// More follows the item.
    #[error("it goes on after its end")]
    Trailing,
    /// A longer head than needed, an indefinite length, or unsorted or equal keys.
    #[error("it is not in canonical form")]
    NotCanonical,
    /// A kind of item that does not belong there.
    #[error("an item is not of the kind that belongs there")]
    Unexpected,
    /// Text that is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// Nested deeper or longer than is read.
    #[error("it is nested too deep or too long")]
    TooDeep,
}

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const SIMPLE: u8 = 7;

/// What is left to read.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// The bytes not read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may be left.
    pub(crate) const fn end(&self) -> Result<(), CborError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(CborError::Trailing)
        }
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], CborError> {
        let length = usize::try_from(length).map_err(|_| CborError::Truncated)?;
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(CborError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Major type and argument (RFC 8949 §3); the argument must have the shortest form (§4.2.1).
    fn head(&mut self) -> Result<(u8, u64), CborError> {
        let first = self.take(1)?[0];
        let (major, short) = (first >> 5, first & 0x1f);
        let (extra, least) = match short {
            0..=23 => return Ok((major, u64::from(short))),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return Err(CborError::NotCanonical),
        };
        let argument = self
            .take(extra)?
            .iter()
            .fold(0, |sum: u64, &byte| (sum << 8) | u64::from(byte));
        if major == SIMPLE {
            // Floats and simple values of two bytes: nothing an authenticator sends.
            return Err(CborError::Unexpected);
        }
        if argument < least {
            return Err(CborError::NotCanonical);
        }
        Ok((major, argument))
    }

    fn of(&mut self, expected: u8) -> Result<u64, CborError> {
        match self.head()? {
            (major, argument) if major == expected => Ok(argument),
            _ => Err(CborError::Unexpected),
        }
    }

    /// An integer.
    pub(crate) fn integer(&mut self) -> Result<i64, CborError> {
        let (major, argument) = self.head()?;
        let argument = i64::try_from(argument).map_err(|_| CborError::Unexpected)?;
        match major {
            UNSIGNED => Ok(argument),
            NEGATIVE => Ok(-1 - argument),
            _ => Err(CborError::Unexpected),
        }
    }

    /// A byte string.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], CborError> {
        let length = self.of(BYTES)?;
        self.take(length)
    }

    /// A text string.
    pub(crate) fn text(&mut self) -> Result<&'a str, CborError> {
        let length = self.of(TEXT)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| CborError::NotUtf8)
    }

    /// The beginning of a map: how many pairs follow.
    pub(crate) fn map(&mut self) -> Result<u64, CborError> {
        self.of(MAP)
    }

    /// Passes over a map whose content is of no interest; it must be canonical all the same.
    pub(crate) fn skip_map(&mut self) -> Result<(), CborError> {
        if self.rest.first().map(|first| first >> 5) != Some(MAP) {
            return Err(CborError::Unexpected);
        }
        let before = self.rest.len();
        self.skip(MAX_DEPTH)?;
        if before - self.rest.len() > MAX_SKIPPED {
            return Err(CborError::TooDeep);
        }
        Ok(())
    }

    fn skip(&mut self, depth: usize) -> Result<(), CborError> {
        let (major, argument) = self.head()?;
        match major {
            UNSIGNED | NEGATIVE => Ok(()),
            BYTES => self.take(argument).map(|_| ()),
            TEXT => std::str::from_utf8(self.take(argument)?)
                .map(|_| ())
                .map_err(|_| CborError::NotUtf8),
            ARRAY | MAP if depth == 0 => Err(CborError::TooDeep),
            // Every item takes a byte at least, so a great count ends with the input.
            ARRAY => (0..argument).try_for_each(|_| self.skip(depth - 1)),
            MAP => {
                let mut last: Option<&[u8]> = None;
                for _ in 0..argument {
                    let key = self.key()?;
                    if last.is_some_and(|last| !sorts_before(last, key)) {
                        return Err(CborError::NotCanonical);
                    }
                    last = Some(key);
                    self.skip(depth - 1)?;
                }
                Ok(())
            }
            // false, true, null.
            SIMPLE if (20..=22).contains(&argument) => Ok(()),
            _ => Err(CborError::Unexpected),
        }
    }

    /// The encoded bytes of a map's key: an integer or a string.
    fn key(&mut self) -> Result<&'a [u8], CborError> {
        let start = self.rest;
        if start.first().is_some_and(|first| first >> 5 > TEXT) {
            return Err(CborError::Unexpected);
        }
        self.skip(0)?;
        Ok(&start[..start.len() - self.rest.len()])
    }
}

/// The order of CTAP2: by major type, then the shorter first, then by bytes. Equal keys do not sort.
fn sorts_before(one: &[u8], other: &[u8]) -> bool {
    let rank = |key: &[u8]| (key.first().map(|first| first >> 5), key.len());
    (rank(one), one) < (rank(other), other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(bytes: &[u8]) -> Result<usize, CborError> {
        let mut reader = Reader::new(bytes);
        reader.skip_map()?;
        Ok(bytes.len() - reader.rest().len())
    }

    #[test]
    fn an_integer_has_one_encoding() {
        let read = |bytes: &[u8]| Reader::new(bytes).integer();
        // RFC 8949, appendix A.
        assert_eq!(read(&[0x17]), Ok(23));
        assert_eq!(read(&[0x18, 0x18]), Ok(24));
        assert_eq!(read(&[0x19, 0x03, 0xe8]), Ok(1000));
        assert_eq!(read(&[0x20]), Ok(-1));
        assert_eq!(read(&[0x39, 0x03, 0xe7]), Ok(-1000));
        for longer in [
            &[0x18, 0x17][..],
            &[0x19, 0, 0xff],
            &[0x1a, 0, 0, 0xff, 0xff],
        ] {
            assert_eq!(read(longer), Err(CborError::NotCanonical), "{longer:x?}");
        }
        assert_eq!(
            read(&[0x1b, 0xff, 0, 0, 0, 0, 0, 0, 0]),
            Err(CborError::Unexpected)
        );
        assert_eq!(read(&[0x19, 0]), Err(CborError::Truncated));
        assert_eq!(read(&[]), Err(CborError::Truncated));
    }

    #[test]
    fn strings_end_where_their_length_says() {
        assert_eq!(Reader::new(b"\x43abc").bytes(), Ok(&b"abc"[..]));
        assert_eq!(Reader::new(b"\x63abc").text(), Ok("abc"));
        assert_eq!(Reader::new(b"\x61\xff").text(), Err(CborError::NotUtf8));
        assert_eq!(Reader::new(b"\x44abc").bytes(), Err(CborError::Truncated));
        assert_eq!(
            Reader::new(b"\x5bzzzzzzzz").bytes(),
            Err(CborError::Truncated)
        );
        // Of indefinite length, or of another kind.
        assert_eq!(
            Reader::new(b"\x5f\x41a\xff").bytes(),
            Err(CborError::NotCanonical)
        );
        assert_eq!(Reader::new(b"\x63abc").bytes(), Err(CborError::Unexpected));
    }

    #[test]
    fn only_a_canonical_map_is_passed_over() {
        // {1: true, "a": h'00', "bb": [1, {"c": null}]}
        let good = b"\xa3\x01\xf5\x61a\x41\x00\x62bb\x82\x01\xa1\x61c\xf6";
        assert_eq!(skipped(good), Ok(good.len()));
        for (bad, why) in [
            (&b"\xa2\x61b\x01\x61a\x02"[..], CborError::NotCanonical),
            (b"\xa2\x62aa\x01\x61b\x02", CborError::NotCanonical),
            (b"\xa2\x61a\x01\x01\x02", CborError::NotCanonical),
            (b"\xa2\x61a\x01\x61a\x02", CborError::NotCanonical),
            (b"\xbf\x61a\x01\xff", CborError::NotCanonical),
            (b"\xa1\x61a\xc0\x01", CborError::Unexpected),
            (b"\xa1\x61a\xf9\x00\x00", CborError::Unexpected),
            (b"\xa1\x81\x01\x01", CborError::Unexpected),
            (b"\x81\x01", CborError::Unexpected),
            (b"\xa1\x61a\x81\x81\x81\x81\x01", CborError::TooDeep),
            (b"\xa1\x61a", CborError::Truncated),
            (b"", CborError::Unexpected),
            (
                b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
                CborError::Truncated,
            ),
        ] {
            assert_eq!(skipped(bad), Err(why), "{bad:x?}");
        }
        let long = [&b"\xa1\x61a\x59\x10\x00"[..], &[0; 4096]].concat();
        assert_eq!(skipped(&long), Err(CborError::TooDeep));
    }
}
