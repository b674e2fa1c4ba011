//! Digits and the letters of weekdays, drawn as lines: no font is at hand, and none is needed for so little.

use super::canvas::{Canvas, Ink};

/// How high a letter is on the grid that [`glyph`] uses.
const GRID: f64 = 9.0;
/// What is left free behind a letter, on that grid.
const APART: f64 = 2.6;

/// Where a text stands about its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Middle,
    End,
}

/// Lines on a grid, 9 high: pairs of x and y, `:` and `;` for 10 and 11; a blank goes on, a bar begins anew. And how
/// wide. What is not known is a blank.
fn glyph(letter: char) -> (&'static str, f64) {
    match letter {
        '0' | 'O' => ("20 40 62 67 49 29 07 02 20", 6.0),
        '1' => ("02 20 29", 3.0),
        '2' => ("02 20 40 62 63 09 69", 6.0),
        '3' => ("01 20 40 62 63 44 24|44 66 67 49 29 08", 6.0),
        '4' => ("49 40 06 66", 6.0),
        '5' => ("60 10 04 44 66 67 49 29 08", 6.0),
        '6' => ("50 20 03 07 29 49 67 66 44 24 05", 6.0),
        '7' => ("00 60 29", 6.0),
        '8' => ("24 02 20 40 62 44 24 06 07 29 49 67 66 44", 6.0),
        '9' => ("19 49 66 62 40 20 02 03 25 45 64", 6.0),
        '.' => ("08 09", 0.5),
        ',' => ("19 0;", 1.0),
        ':' => ("02 03|07 08", 0.5),
        '−' => ("05 45", 4.0),
        'A' => ("09 30 69|16 56", 6.0),
        'D' => ("00 30 62 67 39 09 00", 6.0),
        'E' => ("50 00 09 59|04 44", 5.0),
        'F' => ("50 00 09|04 44", 5.0),
        'H' => ("00 09|60 69|04 64", 6.0),
        'I' => ("00 09", 0.5),
        'M' => ("09 00 35 60 69", 6.0),
        'N' => ("09 00 69 60", 6.0),
        'R' => ("09 00 40 62 63 45 05|35 69", 6.0),
        'S' => ("61 40 20 02 03 25 45 66 67 49 29 08", 6.0),
        'T' => ("00 60|30 39", 6.0),
        'U' => ("00 07 29 49 67 60", 6.0),
        'W' => ("00 29 43 69 80", 8.0),
        _ => ("", 3.0),
    }
}

/// How wide a text is whose digits are so high.
pub(super) fn width(text: &str, height: f64) -> f64 {
    let wide: f64 = text.chars().map(|letter| glyph(letter).1 + APART).sum();
    (wide - APART).max(0.0) * height / GRID
}

impl Canvas {
    /// A text with its foot at `y`.
    pub(super) fn text(&mut self, text: &str, anchor: Anchor, [x, y]: [f64; 2], height: f64) {
        let unit = height / GRID;
        let wide = width(text, height);
        let mut left = match anchor {
            Anchor::Middle => x - wide / 2.0,
            Anchor::End => x - wide,
        };
        for letter in text.chars() {
            let (lines, across) = glyph(letter);
            for line in lines.split('|').filter(|line| !line.is_empty()) {
                let points = line.split(' ').filter_map(|pair| {
                    let (over, under) = pair.split_at_checked(1)?;
                    Some([left + grid(over) * unit, y - height + grid(under) * unit])
                });
                let points: Vec<[f64; 2]> = points.collect();
                self.stroke(&points, height * 0.14, Ink::Text, 1.0);
            }
            left += (across + APART) * unit;
        }
    }
}

fn grid(digit: &str) -> f64 {
    digit.bytes().next().map_or(0.0, |byte| f64::from(byte.saturating_sub(b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stands_on_its_foot_and_ends_where_it_should() {
        let mut canvas = Canvas::new([40, 20]);
        // A one, 3 of 9 wide, and its foot.
        canvas.text("1", Anchor::End, [30.0, 18.0], 9.0);
        assert!(canvas.look([29.0, 13.0]).1 > 10, "its stem");
        assert!(canvas.look([29.0, 17.5]).1 > 10 && canvas.look([29.0, 19.5]).1 == 0);
        assert_eq!(canvas.look([30.9, 13.0]).1, 0);
        assert!((width("11", 9.0) - (3.0 + APART + 3.0)).abs() < 1e-9);
    }

    #[test]
    fn every_letter_that_is_written_is_known() {
        for letter in "0123456789.,:−MONTUEWDHFRISA".chars() {
            assert!(!glyph(letter).0.is_empty(), "{letter}");
        }
    }
}
