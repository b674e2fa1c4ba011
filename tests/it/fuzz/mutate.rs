//! Changes an input a little, in bytes and in words, so that it stays close to what the code expects.

use fastrand::Rng;

/// Longest input, in bytes.
const INPUT_BYTES_MAX: usize = 8 * 1024;
/// Changes of one input at most.
const CHANGES_MAX: usize = 5;
/// Most copies of a word that a repetition makes.
const COPIES_MAX: usize = 300;

/// What breaks parsers of any kind.
const NASTY: &[&str] = &[
    "",
    "0",
    "-1",
    "-0",
    "1e999",
    "0.1e-400",
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999999",
    "1_000",
    "NaN",
    "Infinity",
    "null",
    "true",
    "{}",
    "[]",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "\\ud800",
    "\u{0}",
    "\u{feff}",
    "\u{202e}",
    "ß",
    "\u{1f514}",
    "e\u{301}",
    "\r\n",
    "\t",
    " ",
    "%00",
    "%",
    "&",
    "=",
    ":",
    ";",
    "-",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "${KEY}",
    "${",
    "$$",
    "*",
    "&a",
    "*a",
    "<<",
    "!!str",
    "|",
    ">-",
    "#",
    "~",
    "{{",
    "}}",
    "{%",
    "%}",
];

/// One input made of others.
pub fn mutate(rng: &mut Rng, corpus: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut data = rng.choice(corpus).cloned().unwrap_or_default();
    for _ in 0..rng.usize(1..=CHANGES_MAX) {
        change(rng, &mut data, corpus, words);
    }
    data.truncate(INPUT_BYTES_MAX);
    data
}

fn change(rng: &mut Rng, data: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&str]) {
    let word = |rng: &mut Rng| {
        let nasty = words.is_empty() || rng.u8(..4) == 0;
        rng.choice(if nasty { NASTY } else { words })
            .copied()
            .unwrap_or_default()
            .as_bytes()
            .to_vec()
    };
    match rng.u8(..10) {
        0 => {
            if let Some(at) = place(rng, data) {
                data[at] ^= 1 << rng.u8(..8);
            }
        }
        1 => {
            let (at, byte) = (rng.usize(..=data.len()), rng.u8(..));
            data.insert(at, byte);
        }
        2 => {
            let range = stretch(rng, data);
            data.drain(range);
        }
        3 => {
            let range = stretch(rng, data);
            let copy = data[range].to_vec();
            let at = rng.usize(..=data.len());
            data.splice(at..at, copy);
        }
        4 => {
            let other = rng.choice(corpus).cloned().unwrap_or_default();
            let (from, to) = (stretch(rng, &other), stretch(rng, data));
            data.splice(to, other[from].iter().copied());
        }
        5 => {
            let (at, word) = (rng.usize(..=data.len()), word(rng));
            data.splice(at..at, word);
        }
        6 | 7 => {
            let (range, word) = (token(rng, data), word(rng));
            data.splice(range, word);
        }
        8 => {
            let (one, other) = (token(rng, data), token(rng, data));
            let (first, second) =
                if one.start <= other.start { (one, other) } else { (other, one) };
            if first.end <= second.start {
                let moved = data[first.clone()].to_vec();
                let kept: Vec<u8> = data.splice(second, moved).collect();
                data.splice(first, kept);
            }
        }
        _ => {
            let range = if rng.bool() { token(rng, data) } else { stretch(rng, data) };
            let copy = data[range.clone()].repeat(rng.usize(1..=COPIES_MAX));
            data.splice(range, copy.into_iter().take(INPUT_BYTES_MAX));
        }
    }
}

fn place(rng: &mut Rng, data: &[u8]) -> Option<usize> {
    (!data.is_empty()).then(|| rng.usize(..data.len()))
}

/// A short piece, anywhere.
fn stretch(rng: &mut Rng, data: &[u8]) -> std::ops::Range<usize> {
    let start = rng.usize(..=data.len());
    let longest = (data.len() - start).min(if rng.u8(..8) == 0 { usize::MAX } else { 24 });
    start..start + rng.usize(..=longest)
}

/// A word, a number or a single sign.
fn token(rng: &mut Rng, data: &[u8]) -> std::ops::Range<usize> {
    let Some(at) = place(rng, data) else { return 0..0 };
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
    let before = data[..at].iter().rev().take_while(|byte| is_word(byte)).count();
    let after = data[at..].iter().take_while(|byte| is_word(byte)).count();
    if after == 0 { at..at + 1 } else { at - before..at + after }
}
