//! Charts as PNG, for mails: no mail program shows an SVG.
//!
//! Pure. The same values give the same bytes. Drawn by lines, areas and rectangles of our own, without a background, in
//! colours that can be read on light and on dark; words stand beside the picture, on it are numbers, days and hours only.
//! A picture is as large as it is whatever it shows, so its bytes are bounded, too: [`BYTES_MAX`].

mod canvas;
mod hours;
mod letters;
mod line;
mod png;

use std::sync::Arc;

use self::canvas::{Canvas, Ink};
use self::letters::Anchor;
use super::scale::Scale;
use super::text::figure_text;

pub use self::hours::Hours;

/// How large a picture is shown, across and down.
const SIZE: [u32; 2] = [560, 176];
/// How high digits are.
const DIGITS: f64 = 10.0;
/// Where values are drawn, from above.
const TOP: f64 = 10.0;
const BOTTOM: f64 = 148.0;
/// Where they end at the right.
const RIGHT: f64 = 552.0;
/// Room for the numbers of an axis at most; longer ones are cut off.
const NUMBERS_MAX: f64 = 160.0;
/// Bytes of a picture at most; one with more is not drawn.
const BYTES_MAX: usize = 15_000;

/// A chart as a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// PNG, of twice as many pixels as it is shown with.
    pub png: Arc<[u8]>,
    /// How large it is shown, across and down.
    pub size: [u32; 2],
    /// What is shown.
    pub title: String,
    /// What there is to see, in words.
    pub story: String,
    /// What its colours mean: `#rrggbb`, and a word or two.
    pub keys: Vec<(String, &'static str)>,
}

impl Canvas {
    /// The axis of values with its numbers, from `left` on.
    fn axis(&mut self, scale: &Scale, left: f64) {
        let mut above = f64::INFINITY;
        for tick in &scale.ticks {
            let y = scale.at(*tick);
            let much = if tick.is_zero() { 0.75 } else { 0.2 };
            self.rect([[left, y - 0.5], [RIGHT, y + 0.5]], Ink::Text, much);
            // Half of the numbers will do where they would stand closely.
            if above - y > 2.5 * DIGITS {
                self.text(&figure_text(*tick), Anchor::End, [left - 7.0, y + DIGITS / 2.0], DIGITS);
                above = y;
            }
        }
    }
}

/// Room that the numbers of an axis take.
fn numbers(scale: &Scale) -> f64 {
    let wide = scale.ticks.iter().map(|tick| letters::width(&figure_text(*tick), DIGITS));
    (wide.fold(0.0, f64::max) + 9.0).min(NUMBERS_MAX)
}

/// The colour of an ink as `#rrggbb`.
fn color(ink: Ink) -> String {
    let [r, g, b] = ink.rgb();
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// The picture of a canvas; `None` where it has more bytes than a mail is to carry.
fn picture(
    canvas: &Canvas,
    title: String,
    story: String,
    keys: Vec<(Ink, &'static str)>,
) -> Option<Picture> {
    let png = canvas.png();
    let keys = keys.into_iter().map(|(ink, words)| (color(ink), words)).collect();
    (png.len() <= BYTES_MAX).then(|| Picture { png: png.into(), size: SIZE, title, story, keys })
}
