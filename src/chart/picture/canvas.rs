//! Pixels to draw on: lines, areas and rectangles with smooth edges.
//!
//! A pixel holds one ink and how much of it: more of the same ink adds up, and of two inks the stronger one stays. So a
//! palette of few colours is enough, and a picture stays small. Coordinates are those of the picture as it is shown; each
//! of its units is [`SHARP`] pixels. Whatever lies outside is cut off.

use super::png;

/// Pixels for each unit, for screens that show two.
const SHARP: u32 = 2;
/// Steps between nothing of an ink and all of it.
const LEVELS: u8 = 16;

/// Colours that can be read on white as well as on what dark mails are shown on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// What is shown.
    Series,
    /// What it is compared with.
    Usual,
    /// Words and axes.
    Text,
    /// The end of something.
    Alarm,
}

impl Ink {
    const ALL: [Self; 4] = [Self::Series, Self::Usual, Self::Text, Self::Alarm];

    /// Red, green, blue.
    pub(super) const fn rgb(self) -> [u8; 3] {
        match self {
            Self::Series => [0x1f, 0x8f, 0xae],
            Self::Usual => [0xc9, 0x8a, 0x2b],
            Self::Text => [0x7d, 0x86, 0x91],
            Self::Alarm => [0xd9, 0x4a, 0x45],
        }
    }
}

/// How much of an ink a pixel has, from 0 to 1.
#[derive(Debug, Clone, Copy)]
struct Pixel {
    ink: Ink,
    much: f64,
}

/// Pixels under way.
#[derive(Debug)]
pub(super) struct Canvas {
    across: u32,
    down: u32,
    pixels: Vec<Pixel>,
}

/// A rectangle of whole pixels: from, until before.
#[derive(Debug, Clone, Copy)]
struct Extent {
    x: [u32; 2],
    y: [u32; 2],
}

impl Canvas {
    /// Nothing yet, of so many units.
    pub(super) fn new([width, height]: [u32; 2]) -> Self {
        let (across, down) = (width * SHARP, height * SHARP);
        let pixels = vec![Pixel { ink: Ink::Text, much: 0.0 }; place(across, 0, down)];
        Self { across, down, pixels }
    }

    /// A line through points, round at its ends and corners.
    pub(super) fn stroke(&mut self, points: &[[f64; 2]], width: f64, ink: Ink, much: f64) {
        let points: Vec<[f64; 2]> = points.iter().map(|[x, y]| [sharp(*x), sharp(*y)]).collect();
        let reach = sharp(width) / 2.0;
        let all = self.around(&points, reach);
        let (left, top) = (all.x[0], all.y[0]);
        let across = all.x[1] - left;
        // Where pieces meet, the line is no stronger than elsewhere.
        let mut covered = vec![0.0_f64; place(across, 0, all.y[1] - top)];
        let alone = [points.first(), points.first()];
        let pairs = points.windows(2).map(|pair| [pair.first(), pair.last()]);
        for pair in pairs.chain(std::iter::once(alone)) {
            let [Some(one), Some(other)] = pair else { continue };
            let near = self.around(&[*one, *other], reach);
            for (x, y) in near.pixels() {
                let cover = (reach + 0.5 - distance(middle(x, y), *one, *other)).clamp(0.0, 1.0);
                if let Some(most) = covered.get_mut(place(across, x - left, y - top)) {
                    *most = most.max(cover);
                }
            }
        }
        for (x, y) in all.pixels() {
            let cover = covered.get(place(across, x - left, y - top)).copied().unwrap_or_default();
            self.add(x, y, ink, cover * much);
        }
    }

    /// A line of dashes between two points.
    pub(super) fn dashes(&mut self, [one, other]: [[f64; 2]; 2], dash: [f64; 2], ink: Ink) {
        let ([x, y], [to_x, to_y]) = (one, other);
        let length = (to_x - x).hypot(to_y - y);
        let [drawn, left_out] = dash;
        let share = |at: f64| {
            let share = (at / length).clamp(0.0, 1.0);
            [x + share * (to_x - x), y + share * (to_y - y)]
        };
        let mut at = 0.0;
        while at < length {
            self.stroke(&[share(at), share(at + drawn)], 1.75, ink, 1.0);
            at += drawn + left_out;
        }
    }

    /// What lies between a line and the height `base`.
    pub(super) fn area(&mut self, points: &[[f64; 2]], base: f64, ink: Ink, much: f64) {
        for pair in points.windows(2) {
            let [one, other] = pair else { continue };
            let [[x, y], [to_x, to_y]] = [one, other].map(|[x, y]| [sharp(*x), sharp(*y)]);
            if to_x <= x {
                continue;
            }
            let columns = self.around(&[[x, 0.0], [to_x, 0.0]], 0.0).x;
            for column in columns[0]..columns[1] {
                let from = f64::from(column);
                let wide = (to_x.min(from + 1.0) - x.max(from)).max(0.0);
                let share = ((from + 0.5 - x) / (to_x - x)).clamp(0.0, 1.0);
                let height = y + share * (to_y - y);
                self.column(column, [height, sharp(base)], ink, wide * much);
            }
        }
    }

    /// A filled rectangle between two corners.
    pub(super) fn rect(&mut self, [[x, y], [to_x, to_y]]: [[f64; 2]; 2], ink: Ink, much: f64) {
        let (left, right) = (sharp(x.min(to_x)), sharp(x.max(to_x)));
        let columns = self.around(&[[left, 0.0], [right, 0.0]], 0.0).x;
        for column in columns[0]..columns[1] {
            let from = f64::from(column);
            let wide = (right.min(from + 1.0) - left.max(from)).max(0.0);
            self.column(column, [sharp(y), sharp(to_y)], ink, wide * much);
        }
    }

    /// A column of pixels between two heights.
    fn column(&mut self, x: u32, [one, other]: [f64; 2], ink: Ink, much: f64) {
        let (top, bottom) = (one.min(other), one.max(other));
        let rows = self.around(&[[0.0, top], [0.0, bottom]], 0.0).y;
        for y in rows[0]..rows[1] {
            let from = f64::from(y);
            let high = (bottom.min(from + 1.0) - top.max(from)).max(0.0);
            self.add(x, y, ink, high * much);
        }
    }

    fn add(&mut self, x: u32, y: u32, ink: Ink, much: f64) {
        if x >= self.across || much <= 0.0 {
            return;
        }
        let Some(pixel) = self.pixels.get_mut(place(self.across, x, y)) else { return };
        let both = pixel.much + (1.0 - pixel.much) * much.min(1.0);
        if pixel.ink == ink || much >= pixel.much {
            *pixel = Pixel { ink, much: both };
        }
    }

    /// The pixels within a distance of points, as far as there are any.
    fn around(&self, points: &[[f64; 2]], reach: f64) -> Extent {
        let span = |of: usize, most: u32| {
            let all = || points.iter().filter_map(|point| point.get(of));
            let low = all().fold(f64::INFINITY, |low, at| low.min(*at)) - reach - 0.5;
            let high = all().fold(f64::NEG_INFINITY, |high, at| high.max(*at)) + reach + 0.5;
            let (from, to) = (whole(low, most), whole(high + 1.0, most));
            [from, to.max(from)]
        };
        Extent { x: span(0, self.across), y: span(1, self.down) }
    }

    /// The ink and how much of it, in [`LEVELS`], of the pixel in which a point lies.
    #[cfg(test)]
    pub(super) fn look(&self, [x, y]: [f64; 2]) -> (Ink, u8) {
        let (x, y) = (whole(sharp(x), self.across), whole(sharp(y), self.down));
        let pixel = self.pixels[place(self.across, x, y)];
        (pixel.ink, level(pixel.much))
    }

    /// As PNG.
    pub(super) fn png(&self) -> Vec<u8> {
        let palette = Ink::ALL.iter().flat_map(|ink| {
            let [r, g, b] = ink.rgb();
            (0..LEVELS).map(move |level| [r, g, b, opacity(level)])
        });
        let number = |pixel: &Pixel| match level(pixel.much) {
            // All that is empty is the same.
            0 => 0,
            level => level + LEVELS * (pixel.ink as u8),
        };
        let pixels: Vec<u8> = self.pixels.iter().map(number).collect();
        png::encode(self.across, &palette.collect::<Vec<_>>(), &pixels)
    }
}

impl Extent {
    fn pixels(self) -> impl Iterator<Item = (u32, u32)> {
        let [left, right] = self.x;
        (self.y[0]..self.y[1]).flat_map(move |y| (left..right).map(move |x| (x, y)))
    }
}

fn sharp(units: f64) -> f64 {
    units * f64::from(SHARP)
}

fn middle(x: u32, y: u32) -> [f64; 2] {
    [f64::from(x) + 0.5, f64::from(y) + 0.5]
}

fn distance([x, y]: [f64; 2], [one_x, one_y]: [f64; 2], [other_x, other_y]: [f64; 2]) -> f64 {
    let (dx, dy) = (other_x - one_x, other_y - one_y);
    let square = dx * dx + dy * dy;
    let along = if square > 0.0 { ((x - one_x) * dx + (y - one_y) * dy) / square } else { 0.0 };
    let along = along.clamp(0.0, 1.0);
    let (off_x, off_y) = (x - one_x - along * dx, y - one_y - along * dy);
    (off_x * off_x + off_y * off_y).sqrt()
}

fn place(across: u32, x: u32, y: u32) -> usize {
    usize::try_from(u64::from(across) * u64::from(y) + u64::from(x)).unwrap_or(usize::MAX)
}

/// The whole pixel of a place, from 0 to `most`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what a picture has; what is no number is 0"
)]
fn whole(at: f64, most: u32) -> u32 {
    at.clamp(0.0, f64::from(most)) as u32
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to LEVELS - 1")]
fn level(much: f64) -> u8 {
    (much.clamp(0.0, 1.0) * f64::from(LEVELS - 1)).round() as u8
}

fn opacity(level: u8) -> u8 {
    u8::try_from(u16::from(level) * 255 / u16::from(LEVELS - 1)).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u8 = LEVELS - 1;

    #[test]
    fn a_line_is_full_in_its_middle_half_at_its_edge_and_nothing_beyond() {
        let mut canvas = Canvas::new([20, 10]);
        // Three pixels wide, its middle between two pixels: two are full, and one half at each side.
        canvas.stroke(&[[2.0, 5.0], [18.0, 5.0]], 1.5, Ink::Series, 1.0);
        let down = |x: f64| [3.75, 4.25, 4.75, 5.25, 5.75, 6.25].map(|y| canvas.look([x, y]).1);
        assert_eq!(down(10.0), [0, 8, ALL, ALL, 8, 0]);
        assert_eq!(down(19.9), [0; 6], "it ends where it ends");
        assert!(canvas.look([18.25, 5.25]).1 > 8, "and not before");
    }

    #[test]
    fn more_of_an_ink_adds_up_and_of_two_inks_the_stronger_stays() {
        let mut canvas = Canvas::new([4, 4]);
        let all = [[0.0, 0.0], [4.0, 4.0]];
        canvas.rect(all, Ink::Series, 0.5);
        canvas.rect(all, Ink::Series, 0.5);
        assert_eq!(canvas.look([1.0, 1.0]), (Ink::Series, 11));
        canvas.rect(all, Ink::Text, 0.25);
        assert_eq!(canvas.look([1.0, 1.0]), (Ink::Series, 11));
        canvas.rect(all, Ink::Alarm, 1.0);
        assert_eq!(canvas.look([3.9, 3.9]), (Ink::Alarm, ALL));
    }

    #[test]
    fn an_area_follows_its_line() {
        let mut canvas = Canvas::new([10, 10]);
        canvas.area(&[[0.0, 0.0], [10.0, 10.0]], 10.0, Ink::Series, 1.0);
        assert_eq!(canvas.look([2.0, 1.0]).1, 0);
        assert_eq!(canvas.look([2.0, 3.0]).1, ALL);
        assert_eq!(canvas.look([8.0, 7.0]).1, 0);
        assert_eq!(canvas.look([8.0, 9.0]).1, ALL);
    }

    #[test]
    fn what_lies_outside_or_nowhere_is_cut_off() {
        let mut canvas = Canvas::new([4, 4]);
        for at in [f64::NAN, f64::INFINITY, -1e300, 1e300] {
            canvas.stroke(&[[at, 1.0], [2.0, at]], 1.0, Ink::Text, 1.0);
            canvas.area(&[[at, 1.0], [2.0, at]], at, Ink::Text, 1.0);
            canvas.rect([[at, 0.0], [2.0, at]], Ink::Text, 1.0);
        }
        canvas.stroke(&[], 1.0, Ink::Text, 1.0);
        let png = canvas.png();
        assert_eq!(png, canvas.png());
        assert!(png.len() < 1_000, "{}", png.len());
    }
}
