//! A value over time as a picture: the line, what is likely to come, and where nothing is left.

use rust_decimal::Decimal;

use super::canvas::{Canvas, Ink};
use super::letters::Anchor;
use super::{BOTTOM, DIGITS, Picture, RIGHT, SIZE, TOP, numbers, picture};
use crate::chart::line::Line;
use crate::chart::scale::{Scale, Times};

/// Names of days, or times, below the axis at most.
const TIMES_ROOM: i64 = 8;
/// Least room for one of them.
const DAY_ROOM: f64 = 34.0;

impl Line {
    /// The picture: without marks, thresholds and words. `None` where there is no line, or where it has too many bytes.
    pub fn picture(&self) -> Option<Picture> {
        let (canvas, keys) = self.canvas()?;
        picture(&canvas, self.title.clone(), self.story.clone(), keys)
    }

    fn canvas(&self) -> Option<(Canvas, Vec<(Ink, &'static str)>)> {
        let last = *self.points.last().filter(|_| self.points.len() >= 2)?;
        let scale = Scale::new(self.points.iter().map(|point| point.value), BOTTOM, TOP);
        let left = numbers(&scale);
        let times = Times { from: self.from, to: self.to, left, right: RIGHT };
        let mut canvas = Canvas::new(SIZE);
        canvas.axis(&scale, left);
        self.days(&mut canvas, times);
        let zero = scale.at(Decimal::ZERO);
        for piece in self.pieces() {
            let path = self.path(piece, &scale, times);
            canvas.area(&path, zero, Ink::Series, 0.14);
            canvas.stroke(&path, 2.0, Ink::Series, 1.0);
        }
        if let Some(now) = self.now.filter(|now| *now < self.to) {
            let x = times.at(now);
            canvas.rect([[x - 0.5, TOP - 6.0], [x + 0.5, BOTTOM]], Ink::Text, 0.45);
        }
        let mut keys = vec![(Ink::Series, "what is left")];
        let start = [times.at(last.at), scale.at(last.value)];
        let pace = self.forecast.as_ref().map(|forecast| forecast.per_hour);
        if let Some(pace) = pace.filter(|_| last.value > Decimal::ZERO && last.at < self.to) {
            let end = self.end(&scale, times, last, pace);
            canvas.dashes([start, end], [6.0, 5.0], Ink::Series);
            if end[0] < RIGHT {
                canvas.stroke(&[end], 9.0, Ink::Alarm, 1.0);
                keys.push((Ink::Alarm, "used up at this pace"));
            }
        }
        canvas.stroke(&[start], 7.0, Ink::Series, 1.0);
        Some((canvas, keys))
    }

    /// The names of the days, or times where only few hours are shown.
    fn days(&self, canvas: &mut Canvas, times: Times) {
        let ticks = times.ticks(TIMES_ROOM);
        for (n, tick) in ticks.iter().enumerate() {
            let x = times.at(tick.at);
            if tick.at >= self.from {
                canvas.rect([[x - 0.5, BOTTOM], [x + 0.5, BOTTOM + 5.0]], Ink::Text, 0.75);
            }
            let next = ticks.get(n + 1).map_or(RIGHT, |next| times.at(next.at));
            let (middle, room) = if tick.lasts {
                (f64::midpoint(x.max(times.left), next), next - x.max(times.left))
            } else {
                (x, DAY_ROOM)
            };
            let name = if tick.lasts { tick.label.split(' ').next() } else { Some(&*tick.label) };
            let name = name.unwrap_or_default().to_uppercase();
            if room >= DAY_ROOM && middle < RIGHT - 10.0 {
                let foot = BOTTOM + 10.0 + DIGITS;
                canvas.text(&name, Anchor::Middle, [middle, foot], DIGITS);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::chart::line::{Forecast, Point};

    fn at(hours: u64) -> Timestamp {
        let midnight: Timestamp = "2026-11-28T00:00:00Z".parse().expect("time");
        midnight + Duration::from_hours(hours)
    }

    fn line(points: &[(u64, i64)], per_hour: i64) -> Line {
        let point = |(hours, value): &(u64, i64)| Point { at: at(*hours), value: (*value).into() };
        let pace = Decimal::from(per_hour);
        Line {
            id: "b".to_owned(),
            title: "Balance".to_owned(),
            story: "It falls.".to_owned(),
            unit: "USD".to_owned(),
            from: at(0),
            to: at(72),
            now: Some(at(48)),
            points: points.iter().map(point).collect(),
            rises_at_once: true,
            gap: None,
            forecast: Some(Forecast { per_hour: pace, between: [pace; 2], words: Vec::new() }),
            limits: Vec::new(),
            marks: Vec::new(),
            fired: Vec::new(),
            notified: Vec::new(),
        }
    }

    /// The left edge of values, with three digits beside the axis.
    fn left() -> f64 {
        numbers(&Scale::new(std::iter::once(Decimal::ONE_HUNDRED), BOTTOM, TOP))
    }

    /// Where the hours of the picture lie.
    fn x(hours: f64) -> f64 {
        left() + hours / 72.0 * (RIGHT - left())
    }

    #[test]
    fn the_line_ends_at_its_last_value_and_the_forecast_where_nothing_is_left() {
        let (canvas, keys) = line(&[(0, 100), (48, 50)], 5).canvas().expect("a line");
        let half = f64::midpoint(TOP, BOTTOM);
        assert_eq!(canvas.look([x(0.0) + 1.0, TOP + 0.3]), (Ink::Series, 15), "100 is at the top");
        assert_eq!(canvas.look([x(48.0), half]), (Ink::Series, 15), "the last value");
        assert_eq!(canvas.look([x(24.0), TOP + (BOTTOM - TOP) / 4.0]), (Ink::Series, 15));
        let (ink, much) = canvas.look([x(24.0), half + 5.0]);
        assert!(ink == Ink::Series && (2..4).contains(&much), "the area: {much}");
        // 50 at 5 an hour last 10 hours.
        assert_eq!(canvas.look([x(58.0), BOTTOM]), (Ink::Alarm, 15), "empty");
        let (ink, much) = canvas.look([x(64.0), BOTTOM - 4.0]);
        assert_eq!((ink, much), (Ink::Text, 0), "nothing comes after");
        assert_eq!(keys.len(), 2);
    }

    #[test]
    fn a_forecast_that_lasts_longer_leaves_at_the_edge() {
        let (canvas, keys) = line(&[(0, 100), (48, 50)], 1).canvas().expect("a line");
        assert_eq!(keys, [(Ink::Series, "what is left")]);
        // After 24 hours 26 are left.
        let y = BOTTOM - 0.26 * (BOTTOM - TOP);
        let near = |y: f64| (0..8).any(|n| canvas.look([RIGHT - 1.0 - f64::from(n), y]).1 > 9);
        assert!(near(y - 0.6) && !near(y + 12.0) && !near(BOTTOM - 5.0));
    }

    #[test]
    fn a_payment_is_a_step_and_a_gap_is_no_line() {
        let (canvas, _) = line(&[(0, 40), (24, 20), (48, 100)], 0).canvas().expect("a line");
        let high = |value: f64| BOTTOM - value / 100.0 * (BOTTOM - TOP);
        assert_eq!(canvas.look([x(48.0), high(60.0)]), (Ink::Series, 15), "the step");
        assert_eq!(canvas.look([x(36.0), high(20.0)]), (Ink::Series, 15), "flat until then");
        let gap = Line { gap: Some(Duration::from_hours(2)), ..line(&[(0, 40), (48, 40)], 0) };
        let (canvas, _) = gap.canvas().expect("a line");
        assert_eq!(canvas.look([x(24.0), high(40.0)]).1, 0);
    }

    #[test]
    fn the_same_values_are_the_same_bytes_and_few_whatever_they_are() {
        let one = line(&[(0, 100), (48, 50)], 5);
        assert_eq!(one.picture(), one.picture());
        assert!(one.picture().is_some_and(|picture| picture.png.len() < 8_000));
        assert_ne!(one.picture(), line(&[(0, 100), (48, 51)], 5).picture());
        // As ragged as a week of half hours can be.
        let points = (0..336_u64).map(|n| Point {
            at: at(0) + Duration::from_mins(8 * n),
            value: Decimal::from(n * 7_919 % 1_000),
        });
        let ragged = Line { points: points.collect(), ..line(&[], 5) };
        let bytes = ragged.picture().map(|picture| picture.png.len());
        assert!(bytes.is_some_and(|bytes| bytes > 5_000), "{bytes:?}");
        assert_eq!(line(&[(0, 1)], 1).picture(), None);
    }
}
