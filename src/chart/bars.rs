//! Amounts side by side, each stacked of the same parts in the same order.

use rust_decimal::Decimal;

use super::scale::Scale;
use super::text::{Markup, amount_text, escaped, figure_text};
use super::{Drawn, Width};

/// Parts that are told apart; the caller sums up the rest.
const PARTS_MAX: usize = 4;

/// One bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// Its name, short: it stands below.
    pub name: String,
    /// Its amounts, in the order of [`Bars::parts`].
    pub amounts: Vec<Decimal>,
}

/// Bars, such as a day each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bars {
    /// Identity on the page: letters, digits and hyphens.
    pub id: String,
    /// What is shown, with its unit.
    pub title: String,
    /// What there is to see, in words.
    pub story: String,
    /// The unit of the amounts.
    pub unit: String,
    /// What the bars are, for the heading of the table: `Day`.
    pub of: String,
    /// Names of the parts, at most [`PARTS_MAX`].
    pub parts: Vec<String>,
    /// From the left to the right.
    pub bars: Vec<Bar>,
    /// A threshold with its words.
    pub limit: Option<(Decimal, String)>,
}

impl Bar {
    fn total(&self) -> Decimal {
        self.amounts.iter().fold(Decimal::ZERO, |sum, amount| sum.saturating_add(*amount))
    }
}

impl Bars {
    /// The picture.
    pub fn draw(&self) -> Drawn {
        let mut headings = vec![self.of.clone()];
        if self.parts.len() > 1 {
            headings.extend(self.parts.iter().cloned());
        }
        headings.push(format!("Total, {}", self.unit));
        let row = |bar: &Bar| {
            let parts = bar.amounts.iter().filter(|_| self.parts.len() > 1);
            let amounts = parts.copied().chain([bar.total()]);
            let cells = amounts.map(|amount| amount_text(amount, ""));
            std::iter::once(bar.name.clone()).chain(cells).collect()
        };
        let svg = Width::BOTH.map(|width| self.svg(width)).concat();
        Drawn { svg, headings, rows: self.bars.iter().map(row).collect() }
    }

    fn svg(&self, width: Width) -> String {
        let limit = self.limit.as_ref().map(|(value, _)| *value);
        let values = self.bars.iter().map(Bar::total).chain(limit);
        let probe = Scale::new(values.clone(), 1.0, 0.0);
        let longest = probe.ticks.iter().map(|tick| figure_text(*tick).chars().count()).max();
        let left = 14.0 + 6.4 * f64::from(u32::try_from(longest.unwrap_or(1)).unwrap_or(1));
        let [across, down] = match width {
            Width::Wide => [1_100.0, 232.0],
            Width::Narrow => [358.0, 200.0],
        };
        let (top, bottom, right) = (22.0, down - 24.0, across - 4.0);
        let scale = Scale::new(values, bottom, top);
        let mut out = Markup::default();
        let (class, id) = (width.class(), format!("{}-{}", self.id, width.class()));
        let (title, story) = (escaped(&self.title), escaped(&self.story));
        out.add(format_args!(
            r#"<svg class="{class}" viewBox="0 0 {across} {down}" role="img" aria-labelledby="{id}-t {id}-d"><title id="{id}-t">{title}</title><desc id="{id}-d">{story}</desc><defs><pattern id="{id}-h" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path class="c-hatch" d="M0 0V5"/></pattern></defs>"#
        ));
        let last = scale.ticks.len().saturating_sub(1);
        for (n, tick) in scale.ticks.iter().enumerate() {
            let y = scale.at(*tick);
            out.line(if tick.is_zero() { "c-zero" } else { "c-grid" }, [left, y], [right, y]);
            out.text("", "end", [left - 8.0, y + 4.0], &figure_text(*tick));
            if n == last {
                out.text("halo", "start", [left - 2.0, y - 7.0], &self.unit);
            }
        }
        self.stacks(&mut out, &scale, [left, right, bottom], &id);
        if let Some((value, words)) = &self.limit {
            let y = scale.at(*value);
            out.line("c-limit", [left, y], [right, y]);
            // Beside the unit, where that stands on the same line.
            let x = if y < top + 10.0 { left + 40.0 } else { left + 6.0 };
            out.text("tx-crit halo", "start", [x, y - 5.0], words);
        }
        out.add(format_args!("</svg>"));
        out.finish()
    }

    fn stacks(&self, out: &mut Markup, scale: &Scale, [left, right, bottom]: [f64; 3], id: &str) {
        let count = u32::try_from(self.bars.len().max(1)).unwrap_or(u32::MAX);
        let room = (right - left) / f64::from(count);
        let thick = (room * 0.6).min(44.0);
        // A name needs about 44 points.
        let every = (44.0 / room).ceil().max(1.0);
        for (n, bar) in (0_u32..).zip(&self.bars) {
            let middle = left + room * (f64::from(n) + 0.5);
            let mut under = Decimal::ZERO;
            for (part, amount) in bar.amounts.iter().take(PARTS_MAX).enumerate() {
                let over = under.saturating_add(*amount);
                let (low, high) = (scale.at(under), scale.at(over));
                let (y, height) = (high.min(low), (low - high).abs());
                under = over;
                if height < 0.05 {
                    continue;
                }
                let gap = if height > 2.0 { 1.0 } else { 0.0 };
                let fill = match part {
                    2 => format!(r#" fill="url(#{id}-h)""#),
                    _ => String::new(),
                };
                let (x, height) = (middle - thick / 2.0, height - gap);
                out.add(format_args!(
                    r#"<rect class="c-s{}"{fill} x="{x:.1}" y="{y:.1}" width="{thick:.1}" height="{height:.1}"/>"#,
                    part + 1
                ));
            }
            let from_end = count - 1 - n;
            let named = f64::from(from_end) % every < 0.5;
            if named {
                let end = n + 1 == count && middle + 20.0 > right;
                let (anchor, x) = if end { ("end", right) } else { ("middle", middle) };
                out.text(
                    if from_end == 0 { "tx" } else { "" },
                    anchor,
                    [x, bottom + 17.0],
                    &bar.name,
                );
            }
            if from_end == 0 && bar.total() > Decimal::ZERO {
                let y = scale.at(bar.total()) - 6.0;
                let words = amount_text(bar.total(), "");
                let end = middle + 24.0 > right;
                let (anchor, x) = if end { ("end", right) } else { ("middle", middle) };
                out.text("tx halo", anchor, [x, y], &words);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars() -> Bars {
        let bar = |name: &str, amounts: [&str; 2]| Bar {
            name: name.to_owned(),
            amounts: amounts.map(|amount| amount.parse().expect(amount)).into(),
        };
        Bars {
            id: "s".to_owned(),
            title: "spend".to_owned(),
            story: "story".to_owned(),
            unit: "USD".to_owned(),
            of: "Day".to_owned(),
            parts: vec!["voice".to_owned(), "messaging".to_owned()],
            bars: vec![bar("1 Nov", ["10", "30"]), bar("2 Nov", ["0", "0.005"])],
            limit: Some((Decimal::from(50), "DailyBudget fires from 50.00 USD".to_owned())),
        }
    }

    #[test]
    fn parts_stand_on_each_other_and_the_rows_add_up() {
        let drawn = bars().draw();
        assert_eq!(drawn.headings, ["Day", "voice", "messaging", "Total, USD"]);
        assert_eq!(drawn.rows[0], ["1 Nov", "10.00", "30.00", "40.00"]);
        assert_eq!(drawn.rows[1], ["2 Nov", "0.00", "0.0050", "0.0050"]);
        // From 208 at zero to 22 at 50: 10 are 37.2 high, less the line between.
        assert!(
            drawn.svg.contains(r#"class="c-s1" x="272.1" y="170.8" width="44.0" height="36.2""#),
            "{}",
            drawn.svg
        );
        assert!(drawn.svg.contains("DailyBudget fires from 50.00 USD"));
    }

    #[test]
    fn many_bars_keep_their_last_name() {
        let mut many = bars();
        many.bars = (1..=90)
            .map(|n| Bar { name: format!("d{n}"), amounts: vec![Decimal::ONE, Decimal::ONE] })
            .collect();
        let drawn = many.draw();
        let names = drawn.svg.matches(">d").count();
        assert!(drawn.svg.contains(">d90<") && names < 40, "{names}");
    }
}
