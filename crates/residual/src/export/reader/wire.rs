//! The wire format of protocol buffers, read: the fields of a message, one after the other.

/// A field's value, by its wire type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

impl<'a> Field<'a> {
    /// The bytes of a text, a message or a packed list.
    pub(super) fn bytes(self) -> Result<&'a [u8], String> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            other => Err(format!("{other:?} stands where bytes should")),
        }
    }

    pub(super) fn text(self) -> Result<String, String> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| "a name is not UTF-8".to_owned())
    }

    pub(super) fn int(self) -> Result<i64, String> {
        match self {
            Self::Varint(value) => Ok(value as i64),
            other => Err(format!("{other:?} stands where a whole number should")),
        }
    }

    pub(super) fn float(self) -> Result<f32, String> {
        match self {
            Self::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            other => Err(format!("{other:?} stands where a float should")),
        }
    }

    /// A repeated whole number: one of them, or all of them packed.
    pub(super) fn ints(self) -> Result<Vec<i64>, String> {
        let Self::Bytes(mut rest) = self else { return Ok(vec![self.int()?]) };
        let mut values = Vec::new();
        while !rest.is_empty() {
            values.push(varint(&mut rest)? as i64);
        }
        Ok(values)
    }
}

/// The fields of `message`, with their numbers.
pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = Result<(u64, Field<'_>), String>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = field(&mut rest);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

fn field<'a>(rest: &mut &'a [u8]) -> Result<(u64, Field<'a>), String> {
    let key = varint(rest)?;
    let value = match key & 7 {
        0 => Field::Varint(varint(rest)?),
        1 => Field::Fixed64(take(rest, 8)?.try_into().expect("eight bytes")),
        2 => {
            let length = usize::try_from(varint(rest)?).map_err(|_| "a length is out of all bounds".to_owned())?;
            Field::Bytes(take(rest, length)?)
        }
        5 => Field::Fixed32(take(rest, 4)?.try_into().expect("four bytes")),
        kind => return Err(format!("there is no wire type {kind}")),
    };
    Ok((key >> 3, value))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    let (taken, after) = rest.split_at_checked(length).ok_or("it ends in the middle of a value")?;
    *rest = after;
    Ok(taken)
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn varint(rest: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("a number has more than ten bytes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_s_own_examples_read_as_they_should() {
        // protobuf.dev, "Encoding": field 1 = 150, field 2 = "testing"; 3, 270 and 86,942 packed.
        let message = [0x08, 0x96, 0x01, 0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67];
        let read: Result<Vec<_>, String> = fields(&message).collect();
        assert_eq!(read, Ok(vec![(1, Field::Varint(150)), (2, Field::Bytes(b"testing"))]));
        let packed = Field::Bytes(&[0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05]);
        assert_eq!(packed.ints(), Ok(vec![3, 270, 86_942]));
        assert_eq!(Field::Varint(u64::MAX).int(), Ok(-1));
    }

    #[test]
    fn a_message_that_ends_early_is_an_error_and_no_endless_loop() {
        for message in [&[0x12, 0x07, 0x74][..], &[0x08], &[0xff; 12], &[0x0f, 0x00]] {
            let read: Vec<_> = fields(message).collect();
            assert!(read.len() == 1 && read[0].is_err(), "{read:?}");
        }
    }
}
