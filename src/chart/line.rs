//! A value over time: as it was, its forecast, the thresholds, and when an alert fired.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use super::scale::{Scale, Times, number};
use super::text::{Markup, amount_text, escaped, figure_text};
use super::{Drawn, Width};

/// Least distance of two points on the picture; what lies closer is drawn by its least and its greatest value.
const CLOSE: f64 = 2.0;
/// Rows of the table of values at most, besides the last value.
const ROWS_MAX: usize = 12;
/// Least room for the name of a day.
const DAY_ROOM: f64 = 26.0;
/// Height of a line of text.
const TEXT: f64 = 14.0;

/// A value at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// How much.
    pub value: Decimal,
}

/// How it goes on from the last point: it falls at this pace, until nothing is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// What it loses in an hour.
    pub per_hour: Decimal,
    /// The slowest pace and the fastest that are likely.
    pub between: [Decimal; 2],
    /// What is to be said about it, a line each.
    pub words: Vec<String>,
}

/// A threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Where.
    pub value: Decimal,
    /// What happens there.
    pub words: String,
    /// Whether the alert fires there; else it ends there.
    pub fires: bool,
}

/// Something that happened, pointed at from below the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// What; empty for none.
    pub words: String,
}

/// A time in which an alert fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
}

/// A value over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Identity on the page: letters, digits and hyphens.
    pub id: String,
    /// What is shown, with its unit.
    pub title: String,
    /// What there is to see, in words.
    pub story: String,
    /// The unit of the values.
    pub unit: String,
    /// The left edge.
    pub from: Timestamp,
    /// The right edge.
    pub to: Timestamp,
    /// The present, where it lies inside.
    pub now: Option<Timestamp>,
    /// In the order of time.
    pub points: Vec<Point>,
    /// Whether the value rises at once (a payment) and not since the point before.
    pub rises_at_once: bool,
    /// Between points that are further apart nothing is known.
    pub gap: Option<Duration>,
    /// How it goes on.
    pub forecast: Option<Forecast>,
    /// Thresholds.
    pub limits: Vec<Limit>,
    /// What happened, on the line.
    pub marks: Vec<Mark>,
    /// When an alert fired.
    pub fired: Vec<Span>,
    /// When somebody was notified, below the axis.
    pub notified: Vec<Timestamp>,
}

/// Where what stands on the picture.
struct Frame {
    width: Width,
    size: [f64; 2],
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Line {
    /// The picture.
    pub fn draw(&self) -> Drawn {
        let svg = Width::BOTH.map(|width| self.svg(width)).concat();
        let value = if self.unit.is_empty() { "Value" } else { &self.unit };
        Drawn { svg, headings: vec!["Time, UTC".to_owned(), value.to_owned()], rows: self.rows() }
    }

    fn frame(&self, width: Width, labels: f64) -> Frame {
        let below = if self.fired.is_empty() && self.notified.is_empty() { 0.0 } else { 30.0 };
        let speaks = self.forecast.as_ref().is_some_and(|forecast| !forecast.words.is_empty());
        let (size, side) = match width {
            Width::Wide => ([800.0, 216.0 + below], if speaks { 166.0 } else { 20.0 }),
            Width::Narrow => ([358.0, 196.0 + below], 6.0),
        };
        let [across, down] = size;
        Frame {
            width,
            size,
            left: labels,
            right: across - side,
            top: 22.0,
            bottom: down - 24.0 - below,
        }
    }

    fn svg(&self, width: Width) -> String {
        let values = self.points.iter().map(|point| point.value);
        let values = values.chain(self.limits.iter().map(|limit| limit.value));
        let probe = Scale::new(values.clone(), 1.0, 0.0);
        let longest = probe.ticks.iter().map(|tick| figure_text(*tick).chars().count()).max();
        let digits = f64::from(u32::try_from(longest.unwrap_or(1)).unwrap_or(1));
        let frame = self.frame(width, 14.0 + digits * 6.4);
        let scale = Scale::new(values, frame.bottom, frame.top);
        let times = Times { from: self.from, to: self.to, left: frame.left, right: frame.right };
        let mut out = Markup::default();
        self.begin(&mut out, &frame);
        self.axes(&mut out, &frame, &scale, times);
        self.value(&mut out, &frame, &scale, times);
        self.beneath(&mut out, &frame, times);
        out.add(format_args!("</svg>"));
        out.finish()
    }

    fn begin(&self, out: &mut Markup, frame: &Frame) {
        let [across, down] = frame.size;
        let (class, id) = (frame.width.class(), format!("{}-{}", self.id, frame.width.class()));
        let (title, story) = (escaped(&self.title), escaped(&self.story));
        out.add(format_args!(
            r#"<svg class="{class}" viewBox="0 0 {across} {down}" role="img" aria-labelledby="{id}-t {id}-d"><title id="{id}-t">{title}</title><desc id="{id}-d">{story}</desc>"#
        ));
    }

    fn axes(&self, out: &mut Markup, frame: &Frame, scale: &Scale, times: Times) {
        let last = scale.ticks.len().saturating_sub(1);
        for (n, tick) in scale.ticks.iter().enumerate() {
            let y = scale.at(*tick);
            let class = if tick.is_zero() { "c-zero" } else { "c-grid" };
            out.line(class, [frame.left, y], [frame.right, y]);
            out.text("", "end", [frame.left - 8.0, y + 4.0], &figure_text(*tick));
            if n == last && !self.unit.is_empty() {
                out.text("halo", "start", [frame.left - 2.0, y - 7.0], &self.unit);
            }
        }
        let room = if frame.width == Width::Wide { 9 } else { 8 };
        let ticks = times.ticks(room);
        for (n, tick) in ticks.iter().enumerate() {
            let x = times.at(tick.at);
            if tick.at >= self.from {
                out.line("c-zero", [x, frame.bottom], [x, frame.bottom + 4.0]);
            }
            let next = ticks.get(n + 1).map_or(frame.right, |next| times.at(next.at));
            let (middle, room) =
                if tick.lasts { (f64::midpoint(x, next), next - x) } else { (x, DAY_ROOM) };
            let label = match frame.width {
                Width::Narrow if tick.lasts => tick.label.split(' ').next().unwrap_or_default(),
                _ => &tick.label,
            };
            let fits = room >= DAY_ROOM && middle > frame.left + 8.0;
            if fits && middle < frame.right + 4.0 {
                out.text("", "middle", [middle, frame.bottom + 17.0], label);
            }
        }
        for limit in &self.limits {
            let y = scale.at(limit.value);
            let class = if limit.fires { "c-limit" } else { "c-limit2" };
            out.line(class, [frame.left, y], [frame.right, y]);
            let class = if limit.fires { "tx-crit halo" } else { "halo" };
            // Beside the unit, where that stands on the same line.
            let x = if y < frame.top + 10.0 { frame.left + 40.0 } else { frame.left + 6.0 };
            out.text(class, "start", [x, y - 5.0], &limit.words);
        }
    }

    /// The line with its area, what comes, and the present.
    fn value(&self, out: &mut Markup, frame: &Frame, scale: &Scale, times: Times) {
        let zero = scale.at(Decimal::ZERO);
        for piece in self.pieces() {
            let path = self.path(piece, scale, times);
            if let (Some(first), Some(last)) = (path.first(), path.last()) {
                let line = pen(&path);
                let (begin, end) = (first[0], last[0]);
                out.add(format_args!(
                    r#"<path class="c-area" d="{line}L{end:.1} {zero:.1}L{begin:.1} {zero:.1}Z"/><path class="c-line" d="{line}"/>"#
                ));
            }
        }
        if let Some(now) = self.now {
            let x = times.at(now);
            out.line("c-now", [x, frame.top - 8.0], [x, frame.bottom]);
            out.text("halo", "middle", [x, frame.top - 11.0], "now");
        }
        for mark in &self.marks {
            let Some(point) = self.points.iter().find(|point| point.at >= mark.at) else {
                continue;
            };
            let (x, y) = (times.at(point.at), scale.at(point.value));
            out.add(format_args!(r#"<path class="c-mark" d="M{x:.1} {:.1}l4 7h-8z"/>"#, y - 16.0));
            let near_end = x > frame.right - 90.0;
            let (anchor, x) = if near_end { ("end", x - 8.0) } else { ("start", x + 8.0) };
            out.text("halo", anchor, [x, y - 9.0], &mark.words);
        }
        let Some(last) = self.points.last() else { return };
        self.coming(out, frame, scale, times, *last);
        let (x, y) = (times.at(last.at), scale.at(last.value));
        out.add(format_args!(r#"<circle class="c-dot" cx="{x:.1}" cy="{y:.1}" r="4"/>"#));
        if self.forecast.is_none() {
            let words = amount_text(last.value, &self.unit);
            let fits = x + 12.0 + width_of(&words) < frame.size[0];
            let (anchor, x) = if fits { ("start", x + 9.0) } else { ("end", x - 9.0) };
            out.text("tx halo", anchor, [x, (y - 6.0).max(frame.top - 2.0)], &words);
        }
    }

    fn coming(&self, out: &mut Markup, frame: &Frame, scale: &Scale, times: Times, last: Point) {
        let Some(forecast) = &self.forecast else { return };
        let [slow, fast] = forecast.between;
        let start = [times.at(last.at), scale.at(last.value)];
        let end = |pace: Decimal| self.end(scale, times, last, pace);
        let (fastest, slowest) = (end(fast), end(slow));
        let corner = [slowest[0], fastest[1]];
        let band = pen(&[start, fastest, corner, slowest]);
        let path = pen(&[start, end(forecast.per_hour)]);
        out.add(format_args!(
            r#"<path class="c-band" d="{band}Z"/><path class="c-fore" d="{path}"/>"#
        ));
        let lines = f64::from(u32::try_from(forecast.words.len()).unwrap_or(0));
        let (anchor, x, y) = match frame.width {
            Width::Wide => {
                let middle = f64::midpoint(end(forecast.per_hour)[1], frame.bottom.min(start[1]));
                let y = middle.min(frame.bottom - (lines - 1.0) * TEXT).max(frame.top + TEXT);
                ("start", frame.right + 10.0, y)
            }
            // Where the line is not: below a high end, above a low one.
            Width::Narrow if start[1] < f64::midpoint(frame.top, frame.bottom) => {
                ("end", frame.right, frame.bottom - 22.0 - (lines - 1.0) * TEXT)
            }
            Width::Narrow => ("end", frame.right, frame.top + TEXT),
        };
        for (n, words) in (0_u32..).zip(&forecast.words) {
            let class = if n == 0 { "tx halo" } else { "halo" };
            out.text(class, anchor, [x, y + f64::from(n) * TEXT], words);
        }
    }

    /// Where a forecast by this pace leaves the picture: at its edge, or where nothing is left.
    pub(super) fn end(&self, scale: &Scale, times: Times, last: Point, pace: Decimal) -> [f64; 2] {
        let start = times.at(last.at);
        let hours = self.to.duration_since(last.at).as_secs_f64() / 3_600.0;
        let (value, pace) = (number(last.value), number(pace));
        let until_empty = if pace > 0.0 { (value / pace).max(0.0) } else { f64::MAX };
        let share = (until_empty / hours.max(1e-9)).min(1.0);
        let left = if until_empty < hours { 0.0 } else { value - pace * hours };
        [start + share * (times.right - start), scale.of(left)]
    }

    /// When it fired, and when somebody was notified.
    fn beneath(&self, out: &mut Markup, frame: &Frame, times: Times) {
        let y = frame.bottom + 26.0;
        for span in &self.fired {
            let (from, to) = (times.at(span.from), times.at(span.to));
            let width = (to - from).max(2.0);
            out.add(format_args!(
                r#"<rect class="c-fire" x="{from:.1}" y="{y:.1}" width="{width:.1}" height="4"/>"#
            ));
        }
        if let Some(first) = self.fired.first() {
            let x = times.at(first.from);
            let (anchor, x) = if x - frame.left > 60.0 {
                ("end", x - 6.0)
            } else {
                ("start", frame.right - 40.0)
            };
            if anchor == "end" {
                out.text("tx-crit", anchor, [x, y + 6.0], "firing");
            }
        }
        for at in self.notified.iter().filter(|at| (self.from..=self.to).contains(*at)) {
            let x = times.at(*at);
            out.add(format_args!(r#"<path class="c-mark" d="M{x:.1} {:.1}l4 7h-8z"/>"#, y + 8.0));
        }
        let first = self.notified.iter().find(|at| (self.from..=self.to).contains(*at));
        if let Some(first) = first {
            let x = times.at(*first);
            if x - frame.left > 60.0 {
                out.text("", "end", [x - 8.0, y + 16.0], "notified");
            }
        }
    }

    /// Runs of points between which something is known.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[Point]> {
        let gap = self.gap;
        self.points.chunk_by(move |one, next| {
            let apart = next.at.duration_since(one.at).unsigned_abs();
            gap.is_none_or(|gap| apart <= gap)
        })
    }

    pub(super) fn path(&self, points: &[Point], scale: &Scale, times: Times) -> Vec<[f64; 2]> {
        let mut path: Vec<[f64; 2]> = Vec::new();
        let mut before: Option<Point> = None;
        for point in points {
            let place = [times.at(point.at), scale.at(point.value)];
            if let Some(before) = before.filter(|before| before.value < point.value)
                && self.rises_at_once
            {
                path.push([place[0], scale.at(before.value)]);
            }
            path.push(place);
            before = Some(*point);
        }
        thinned(&path)
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let every = self.points.len().div_ceil(ROWS_MAX).max(1);
        let last = self.points.len().saturating_sub(1);
        let kept = self.points.iter().enumerate().filter(|(n, _)| n % every == 0 || *n == last);
        kept.map(|(_, point)| {
            let at = point.at.to_zoned(TimeZone::UTC).strftime("%a %-d %b %H:%M").to_string();
            vec![at, amount_text(point.value, "")]
        })
        .collect()
    }
}

/// Roughly how wide a text is.
fn width_of(text: &str) -> f64 {
    f64::from(u32::try_from(text.chars().count()).unwrap_or(u32::MAX)) * 6.4
}

fn pen(path: &[[f64; 2]]) -> String {
    let mut markup = Markup::default();
    for (n, [x, y]) in path.iter().enumerate() {
        markup.add(format_args!("{}{x:.1} {y:.1}", if n == 0 { 'M' } else { 'L' }));
    }
    markup.finish()
}

/// Of points that lie closely together the first, the highest, the lowest and the last, so that no spike is lost.
fn thinned(path: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let mut kept = Vec::new();
    let column = |place: &[f64; 2]| (place[0] / CLOSE).floor();
    #[expect(clippy::float_cmp, reason = "both are whole numbers")]
    let runs = path.chunk_by(|one, next| column(one) == column(next));
    for run in runs {
        let by = |one: &&[f64; 2], other: &&[f64; 2]| one[1].total_cmp(&other[1]);
        let (low, high) = (run.iter().max_by(by), run.iter().min_by(by));
        let mut of: Vec<[f64; 2]> = run.first().into_iter().copied().collect();
        of.extend(low.into_iter().chain(high).chain(run.last()).copied());
        of.dedup();
        kept.extend(of);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-30T{text}Z").parse().expect(text)
    }

    fn point(time: &str, value: &str) -> Point {
        Point { at: at(time), value: value.parse().expect(value) }
    }

    fn line() -> Line {
        Line {
            id: "b-1".to_owned(),
            title: "prod <b>, balance in USD".to_owned(),
            story: "It falls.".to_owned(),
            unit: "USD".to_owned(),
            from: at("00:00:00"),
            to: at("12:00:00"),
            now: Some(at("10:00:00")),
            points: vec![
                point("01:00:00", "100"),
                point("02:00:00", "40"),
                point("10:00:00", "80"),
            ],
            rises_at_once: true,
            gap: None,
            forecast: None,
            limits: vec![Limit {
                value: Decimal::from(50),
                words: "LowBalance fires below 50.00 USD".to_owned(),
                fires: true,
            }],
            marks: Vec::new(),
            fired: Vec::new(),
            notified: Vec::new(),
        }
    }

    #[test]
    fn it_is_drawn_twice_with_words_and_without_markup_of_others() {
        let drawn = line().draw();
        assert_eq!(drawn.svg.matches("<svg ").count(), 2);
        assert_eq!(drawn.svg.matches("role=\"img\"").count(), 2);
        assert_eq!(drawn.svg.matches("&lt;b&gt;").count(), 2);
        assert!(!drawn.svg.contains("<b>") && !drawn.svg.contains("style="));
        assert!(drawn.svg.contains("LowBalance fires below 50.00 USD"));
        assert!(drawn.svg.contains(">80.00 USD<"), "the last value");
        assert_eq!(drawn.rows.last().expect("rows"), &["Mon 30 Nov 10:00", "80.00"]);
    }

    #[test]
    fn a_payment_is_a_step_and_a_gap_is_no_line() {
        let paths = |line: &Line| {
            let drawn = line.draw().svg;
            let path = drawn
                .split(r#"class="c-line" d=""#)
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap_or_default().matches(['M', 'L']).count());
            path.collect::<Vec<_>>()
        };
        assert_eq!(paths(&line()), [4, 4], "a point more, where it rises");
        let slow = Line { rises_at_once: false, ..line() };
        assert_eq!(paths(&slow), [3, 3]);
        let gap = Line { gap: Some(Duration::from_hours(2)), ..line() };
        assert_eq!(paths(&gap), [2, 1, 2, 1]);
    }

    #[test]
    fn a_forecast_ends_at_zero_and_has_a_band() {
        let forecast = Forecast {
            per_hour: Decimal::from(80),
            between: [Decimal::from(10), Decimal::from(160)],
            words: vec!["1 h left".to_owned(), "between 30 min and 8 h".to_owned()],
        };
        let drawn = Line { forecast: Some(forecast), ..line() }.draw().svg;
        assert_eq!(drawn.matches("c-band").count(), 2);
        assert_eq!(drawn.matches(">1 h left<").count(), 2);
        // Narrow: zero is at 172, now at 10/12 of what is between 33.2 and 352, the end an hour later.
        assert!(drawn.contains(r#"class="c-fore" d="M298.9 "#), "{drawn}");
        assert!(drawn.contains("L325.4 172.0\""), "{drawn}");
    }

    #[test]
    fn spikes_survive_thinning() {
        let mut points: Vec<Point> = (0..5_000)
            .map(|n| Point { at: at("00:00:00") + Duration::from_secs(n * 8), value: Decimal::ONE })
            .collect();
        points[2_345].value = Decimal::from(1_000);
        let line = Line { points, limits: Vec::new(), ..line() };
        let drawn = line.draw().svg;
        assert!(drawn.len() < 60_000, "{}", drawn.len());
        assert!(drawn.contains(" 22.0"), "the spike reaches the top");
        assert!(line.draw().rows.len() <= ROWS_MAX + 1);
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let drawn = Line { points: Vec::new(), ..line() }.draw();
        assert!(!drawn.svg.contains("c-line") && !drawn.svg.contains("NaN"));
        assert_eq!(drawn.rows, Vec::<Vec<String>>::new());
    }
}
