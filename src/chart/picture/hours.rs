//! What was spent in each hour as a picture: bars, beside what is usual in these hours.

use jiff::{Timestamp, tz::TimeZone};
use rust_decimal::Decimal;

use super::canvas::{Canvas, Ink};
use super::letters::{self, Anchor};
use super::{BOTTOM, DIGITS, Picture, RIGHT, SIZE, TOP, numbers, picture};
use crate::chart::scale::Scale;

/// Hours from one name below the axis to the next.
const NAMED: usize = 6;
/// How much of its place a bar takes, and how much one that lies before another.
const WIDE: f64 = 0.86;
const SLIM: f64 = 0.5;

/// Amounts by hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// What is shown, with its unit.
    pub title: String,
    /// What there is to see, in words.
    pub story: String,
    /// When the first hour begins.
    pub from: Timestamp,
    /// What was spent in each hour; `None` in those that are still to come.
    pub spent: Vec<Option<Decimal>>,
    /// What is usual in each of them; empty where that is not known.
    pub usual: Vec<Decimal>,
}

impl Hours {
    /// The picture; `None` where there are no hours, or where it has too many bytes.
    pub fn picture(&self) -> Option<Picture> {
        let canvas = self.canvas()?;
        let keys = [(Ink::Series, "spent"), (Ink::Usual, "usual")];
        let keys = keys.into_iter().take(if self.usual.is_empty() { 1 } else { 2 });
        picture(&canvas, self.title.clone(), self.story.clone(), keys.collect())
    }

    fn canvas(&self) -> Option<Canvas> {
        let count = u32::try_from(self.spent.len()).ok().filter(|count| *count > 0)?;
        let values = self.spent.iter().flatten().chain(&self.usual).copied();
        let scale = Scale::new(values, BOTTOM, TOP);
        let left = numbers(&scale);
        let slot = (RIGHT - left) / f64::from(count);
        let mut canvas = Canvas::new(SIZE);
        canvas.axis(&scale, left);
        let zero = scale.at(Decimal::ZERO);
        let mut bar = |slots: u32, value: Decimal, wide: f64, ink: Ink, much: f64| {
            let middle = left + (f64::from(slots) + 0.5) * slot;
            let (half, y) = (slot * wide / 2.0, scale.at(value));
            canvas.rect([[middle - half, y], [middle + half, zero]], ink, much);
        };
        for (n, usual) in (0..).zip(&self.usual) {
            bar(n, *usual, WIDE, Ink::Usual, 0.6);
        }
        let wide = if self.usual.is_empty() { WIDE } else { SLIM };
        for (n, spent) in (0..).zip(&self.spent) {
            bar(n, spent.unwrap_or_default(), wide, Ink::Series, 1.0);
        }
        for n in (0..=count).step_by(NAMED) {
            let x = left + f64::from(n) * slot;
            canvas.rect([[x - 0.5, BOTTOM], [x + 0.5, BOTTOM + 5.0]], Ink::Text, 0.75);
            let at = self.from.checked_add(jiff::Span::new().hours(n)).ok()?;
            let name = at.to_zoned(TimeZone::UTC).strftime("%H:%M").to_string();
            let half = letters::width(&name, DIGITS) / 2.0;
            let (x, foot) = (x.clamp(left + half, RIGHT - half), BOTTOM + 10.0 + DIGITS);
            canvas.text(&name, Anchor::Middle, [x, foot], DIGITS);
        }
        Some(canvas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(spent: &[i64], usual: &[i64]) -> Hours {
        let mut all: Vec<Option<Decimal>> = spent.iter().map(|it| Some((*it).into())).collect();
        all.resize(24, None);
        Hours {
            title: "Spend".to_owned(),
            story: "It rises.".to_owned(),
            from: "2026-11-30T00:00:00Z".parse().expect("time"),
            spent: all,
            usual: usual.iter().map(|it| (*it).into()).collect(),
        }
    }

    #[test]
    fn a_bar_is_as_high_as_what_was_spent_and_lies_before_the_usual() {
        let canvas = hours(&[10, 0, 5], &[4; 24]).canvas().expect("hours");
        let left = numbers(&Scale::new(std::iter::once(Decimal::TEN), BOTTOM, TOP));
        let slot = (RIGHT - left) / 24.0;
        let x = |hour: f64| left + (hour + 0.5) * slot;
        let y = |value: f64| BOTTOM - value / 10.0 * (BOTTOM - TOP);
        assert_eq!(canvas.look([x(0.0), y(9.9)]), (Ink::Series, 15));
        assert_eq!(canvas.look([x(2.0), y(4.8)]), (Ink::Series, 15));
        assert_eq!(canvas.look([x(2.0), y(5.2)]).1, 0);
        // Beside the slim bar, in the hour without any, and in those to come.
        for at in [x(0.0) - 0.35 * slot, x(1.0), x(23.0)] {
            assert_eq!(canvas.look([at, y(3.5)]), (Ink::Usual, 9));
            assert_eq!(canvas.look([at, y(4.4)]).1, 0);
        }
    }

    #[test]
    fn without_the_usual_bars_are_wide() {
        let picture = hours(&[10, 0, 5], &[]).picture().expect("a picture");
        assert_eq!(picture.keys.len(), 1);
        assert!(picture.png.len() < 8_000, "{}", picture.png.len());
        assert_eq!(hours(&[10, 0, 5], &[4; 24]).picture().map(|it| it.keys.len()), Some(2));
        assert_eq!(Hours { spent: Vec::new(), ..hours(&[], &[]) }.picture(), None);
    }
}
