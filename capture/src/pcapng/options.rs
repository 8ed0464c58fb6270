//! [`Options`]: what stands behind the fixed part of a block.

use super::OPTION_END;
use super::blocks::half;

/// The options of a block, whole ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options<'a> {
    bytes: &'a [u8],
    is_big_endian: bool,
}

impl<'a> Options<'a> {
    /// Code and value of each, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let (mut rest, is_big_endian) = (self.bytes, self.is_big_endian);
        std::iter::from_fn(move || first(&mut rest, is_big_endian).ok().flatten())
    }

    /// The value of the first one with this code.
    #[must_use]
    pub fn find(&self, code: u16) -> Option<&'a [u8]> {
        self.iter().find(|(own, _)| *own == code).map(|(_, value)| value)
    }

    /// Options that are all whole.
    pub(super) fn check(bytes: &'a [u8], is_big_endian: bool) -> Result<Self, String> {
        let mut rest = bytes;
        while first(&mut rest, is_big_endian)?.is_some() {}
        Ok(Options { bytes, is_big_endian })
    }
}

/// Takes the first option off; `None` if that was the last.
fn first<'a>(rest: &mut &'a [u8], is_big_endian: bool) -> Result<Option<(u16, &'a [u8])>, String> {
    if rest.is_empty() {
        return Ok(None);
    }
    let Some(([c0, c1, l0, l1], behind)) = rest.split_first_chunk() else {
        return Err("an option is cut".to_owned());
    };
    let code = half([*c0, *c1], is_big_endian);
    if code == OPTION_END {
        return Ok(None);
    }
    let len = usize::from(half([*l0, *l1], is_big_endian));
    let value = behind.get(..len).zip(behind.get(len.next_multiple_of(4)..));
    let (value, behind) = value.ok_or_else(|| format!("option {code} is longer than its block"))?;
    *rest = behind;
    Ok(Some((code, value)))
}
