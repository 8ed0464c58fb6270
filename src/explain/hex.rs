//! Bytes in hexadecimal, as people and programs write them.
//!
//! Two digits make a byte. Between bytes there may be blanks, newlines, `:`, `-`, `.` and `,`; before a group of digits `0x`, and before
//! a line the offset that `tcpdump -xx` prints (`0x0010:`).

use crate::failure::Failure;

/// How much of a line is shown beside the place that is wrong.
const AROUND: usize = 24;

/// The bytes of a text.
///
/// # Errors
/// What is no hexadecimal, and where.
pub fn parse(text: &str) -> Result<Vec<u8>, Failure> {
    let characters: Vec<char> = text.chars().collect();
    let (mut bytes, mut high, mut at) = (Vec::new(), None, 0);
    let mut begins = true;
    while let Some(&character) = characters.get(at) {
        if begins && matches!(characters[at..], ['0', 'x' | 'X', ..]) {
            at += if is_offset(&characters[at..]) { "0x0000:".len() } else { 2 };
            begins = false;
            continue;
        }
        match (character.to_digit(16), high) {
            (Some(digit), None) => high = Some(digit),
            (Some(digit), Some(first)) => {
                bytes.push((first << 4 | digit) as u8);
                high = None;
            }
            (None, _) if !is_separator(character) => {
                return Err(wrong(
                    &characters,
                    at,
                    format_args!("'{}' is no hexadecimal digit", character.escape_debug()),
                ));
            }
            (None, Some(_)) => {
                return Err(wrong(&characters, at - 1, format_args!("a byte has two digits, here is one")));
            }
            (None, None) => {}
        }
        begins = is_separator(character);
        at += 1;
    }
    match high {
        Some(_) => Err(wrong(&characters, at - 1, format_args!("a byte has two digits, the last has one"))),
        None if bytes.is_empty() => Err(Failure::new("the frame: there are no digits").with_status(2)),
        None => Ok(bytes),
    }
}

fn is_separator(character: char) -> bool {
    character.is_whitespace() || matches!(character, ':' | '-' | '.' | ',')
}

/// `0x0010:` and a blank.
fn is_offset(characters: &[char]) -> bool {
    match characters {
        [_, _, a, b, c, d, ':', blank, ..] => {
            blank.is_whitespace() && [a, b, c, d].into_iter().all(|digit| digit.is_ascii_hexdigit())
        }
        _ => false,
    }
}

/// Shows the line, and points at the place.
fn wrong(characters: &[char], at: usize, what: std::fmt::Arguments<'_>) -> Failure {
    let begin = characters[..at].iter().rposition(|each| *each == '\n').map_or(0, |newline| newline + 1);
    let line = characters[..begin].iter().filter(|each| **each == '\n').count() + 1;
    let end = characters[at..].iter().position(|each| *each == '\n').map_or(characters.len(), |newline| at + newline);
    let (from, to) = (begin.max(at.saturating_sub(AROUND)), end.min(at + AROUND));
    let shown: String = characters[from..to].iter().map(|each| if each.is_control() { ' ' } else { *each }).collect();
    let place =
        if line == 1 { format!("character {}", at + 1) } else { format!("line {line}, character {}", at - begin + 1) };
    let pointer = " ".repeat(at - from);
    Failure::new(format_args!("the frame: {what} ({place})\n  {shown}\n  {pointer}^")).with_status(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_notation_is_read() {
        let bytes = vec![0xff, 0x02, 0x42, 0xac, 0x0a, 0x11];
        for text in [
            "ff0242ac0a11",
            "ff:02:42:ac:0a:11",
            "FF-02-42-AC-0A-11",
            "ff02.42ac.0a11",
            "0xff0242AC0a11",
            "0xff, 0x02, 0x42, 0xac, 0x0a, 0x11",
            "ff02 42ac\n0a11\n",
            "\t0x0000:  ff02 42ac\n\t0x0004:  0a11\n",
        ] {
            assert_eq!(parse(text), Ok(bytes.clone()), "{text:?}");
        }
        assert_eq!(parse("0x 0b"), Ok(vec![0x0b]));
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        let said = |text: &str| {
            let failure = parse(text).expect_err("it is wrong");
            assert_eq!(failure.status, 2);
            failure.message
        };
        assert_eq!(said("ff gg"), "the frame: 'g' is no hexadecimal digit (character 4)\n  ff gg\n     ^");
        assert_eq!(said("ff 1 22"), "the frame: a byte has two digits, here is one (character 4)\n  ff 1 22\n     ^");
        assert_eq!(said("ff1"), "the frame: a byte has two digits, the last has one (character 3)\n  ff1\n    ^");
        assert_eq!(said("ff\n0y\nff"), "the frame: 'y' is no hexadecimal digit (line 2, character 2)\n  0y\n   ^");
        let long = format!("{}x{}", "ab".repeat(100), "cd".repeat(100));
        let around = format!("{}x{}", "ab".repeat(12), "cd".repeat(11) + "c");
        let expected =
            format!("the frame: 'x' is no hexadecimal digit (character 201)\n  {around}\n  {}^", " ".repeat(24));
        assert_eq!(said(&long), expected);
        assert_eq!(said(" \n"), "the frame: there are no digits");
    }
}
