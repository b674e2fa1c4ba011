//! How a report is printed.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::json;

use super::compare::{Compared, Sides};
use super::range::Range;
use super::{Sheet, output};
use crate::cli::terminal::Look;
use crate::spend::{By, GROUPS_MAX, SpendReport, Sum, tidy};
use crate::telnyx::breakdown::NumberCharge;
use crate::telnyx::charges::{GRAND_TOTAL, PARTS, Part, Summary};

/// Longest bar of a share, in characters.
const BAR: usize = 16;
/// The line of what the others leave out, and that of all.
const OTHERS: &str = "(others)";
const TOTAL: &str = "(total)";
/// What Telnyx's figure holds beside usage.
const BEYOND_EVENTS: &str = "\
Telnyx's total also holds what no event tells: monthly and one-time fees (mrc, otc), credits, adjustments and\n\
taxes. The ledger holds what webhooks reported: no call of a connection without call_cost_in_webhooks.";

/// A report with what has to be said of it.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) by: By,
    pub(super) range: Range,
    pub(super) zone: TimeZone,
    pub(super) account: Option<String>,
    /// When the oldest charge of the ledger was charged.
    pub(super) oldest: Option<Timestamp>,
    pub(super) report: SpendReport,
    /// What Telnyx says, or why it is not known; `None` when nobody asked.
    pub(super) compared: Option<Result<Compared, String>>,
    /// How text may look.
    pub(super) look: Look,
}

impl Shown {
    pub(super) fn print(&self, format: Sheet) -> anyhow::Result<()> {
        match format {
            Sheet::Text => output::line(&self.text()),
            Sheet::Json => output::json(&self.json())?,
            Sheet::Csv => {
                self.notes().iter().for_each(|note| output::progress(note));
                let (headings, rows) = self.csv();
                output::csv(&headings, &rows);
            }
        }
        Ok(())
    }

    fn text(&self) -> String {
        let mut parts = vec![self.heading(), self.table()];
        let notes = self.notes();
        parts.extend((!notes.is_empty()).then(|| notes.join("\n")));
        if let Some(Ok(compared)) = &self.compared {
            parts.push(compared_text(compared));
        }
        parts.join("\n\n")
    }

    fn heading(&self) -> String {
        let Range { from, to } = self.range;
        let shown = |at: Timestamp| match self.zone.iana_name() {
            Some("UTC") | None => format!("{at:.0}"),
            Some(_) => at.to_zoned(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        };
        let account = self.account.as_ref().map(|name| format!(", account {name}"));
        let rounded = self.compared.is_some().then_some(", whole days in UTC to compare");
        format!(
            "from {} until {}{}{}",
            shown(from),
            shown(to),
            account.unwrap_or_default(),
            rounded.unwrap_or_default()
        )
    }

    fn table(&self) -> String {
        let SpendReport { rows, others, totals } = &self.report;
        if totals.is_empty() {
            return "no charges".to_owned();
        }
        let line = |group: &str, currency: &str, sum: Sum, share: Option<Decimal>| {
            let (group, currency) = (group.to_owned(), currency.to_owned());
            let share = share.map(|share| {
                let bar = self.look.bar(share, BAR);
                format!("{share} %  {bar}").trim_end().to_owned()
            });
            let share = share.unwrap_or_else(|| "-".to_owned());
            vec![group, currency, sum.charges.to_string(), sum.amount.to_string(), share]
        };
        let rows = rows.iter().map(|row| {
            line(row.group.as_deref().unwrap_or("-"), &row.currency, row.sum, row.share_percent)
        });
        let others =
            others.iter().map(|rest| line(OTHERS, &rest.currency, rest.sum, rest.share_percent));
        let totals = totals.iter().map(|total| {
            let share = (total.sum.amount > Decimal::ZERO).then(|| Decimal::new(1000, 1));
            line(TOTAL, &total.currency, total.sum, share)
        });
        let mut lines: Vec<Vec<String>> = rows.chain(others).chain(totals).collect();
        align(&mut lines, &[2, 3, 4]);
        let group = self.by.as_str().to_uppercase();
        output::table_text(&[&group, "CURRENCY", "CHARGES", "AMOUNT", "SHARE"], &lines)
    }

    /// What a reader has to know, one line each.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        match self.oldest {
            None if self.account.is_some() => {
                notes.push("The ledger holds no charge of this account.".to_owned());
            }
            None => notes.push("The ledger holds no charge.".to_owned()),
            Some(oldest) if oldest > self.range.from => notes.push(format!(
                "The ledger begins with a charge of {oldest:.0}; of earlier ones it knows nothing (it keeps them for \
                 store.retention, 30d at least)."
            )),
            Some(_) => (),
        }
        if self.report.others.iter().any(|rest| rest.groups.is_none()) {
            notes.push(format!("More than {GROUPS_MAX} groups: the cheapest are in {OTHERS}."));
        }
        notes
    }

    fn json(&self) -> serde_json::Value {
        let SpendReport { rows, others, totals } = &self.report;
        let mut json = json!({
            "from": self.range.from,
            "to": self.range.to,
            "by": self.by,
            "time_zone": self.zone.iana_name(),
            "account": self.account,
            "oldest_charge": self.oldest,
            "rows": rows,
            "others": others,
            "totals": totals,
        });
        if let (Some(compared), Some(fields)) = (&self.compared, json.as_object_mut()) {
            let compared = match compared {
                Ok(compared) => json!(compared),
                Err(reason) => json!({"error": reason}),
            };
            fields.insert("compare".to_owned(), compared);
        }
        json
    }

    /// One row for each group and currency; when Telnyx was asked, a column before says who says it, and its grand total
    /// stands in a column of its own: the amounts of one source add up.
    fn csv(&self) -> (Vec<&'static str>, Vec<Vec<String>>) {
        let mut headings = vec!["group", "currency", "charges", "amount", "share_percent"];
        let line = |group: &str, currency: &str, sum: Sum, share: Option<Decimal>| {
            let share = share.map(|share| share.to_string()).unwrap_or_default();
            let (group, currency) = (group.to_owned(), currency.to_owned());
            vec![group, currency, sum.charges.to_string(), sum.amount.to_string(), share]
        };
        let rows = self.report.rows.iter().map(|row| {
            let group = row.group.as_deref().unwrap_or_default();
            line(group, &row.currency, row.sum, row.share_percent)
        });
        let others = self.report.others.iter();
        let others = others.map(|rest| line(OTHERS, &rest.currency, rest.sum, rest.share_percent));
        let mut rows: Vec<Vec<String>> = rows.chain(others).collect();
        let Some(compared) = &self.compared else { return (headings, rows) };
        headings.insert(0, "source");
        headings.push("total");
        for row in &mut rows {
            row.insert(0, "ledger".to_owned());
            row.push(String::new());
        }
        for currency in compared.iter().flat_map(Compared::told) {
            let telnyx = |part: &str, amount: Option<Decimal>| {
                let amount = amount.map(|amount| tidy(amount).to_string()).unwrap_or_default();
                let (part, currency) = (part.to_owned(), currency.currency.clone());
                let none = String::new;
                let (amount, total) =
                    if part == GRAND_TOTAL { (none(), amount) } else { (amount, none()) };
                vec!["telnyx".to_owned(), part, currency, none(), amount, none(), total]
            };
            for part in PARTS {
                rows.push(telnyx(part, currency.part(part)));
            }
        }
        (headings, rows)
    }
}

impl Compared {
    /// The currencies of which Telnyx says anything.
    fn told(&self) -> impl Iterator<Item = &Sides> {
        self.currencies.iter().filter(|it| !it.parts.is_empty())
    }
}

impl Sides {
    fn part(&self, name: &str) -> Option<Decimal> {
        self.parts.get(name).copied().flatten()
    }
}

fn compared_text(compared: &Compared) -> String {
    let mut differences: Vec<Vec<String>> = compared
        .currencies
        .iter()
        .map(|it| {
            let ledger = tidy(it.ledger).to_string();
            vec![it.currency.clone(), ledger, money(it.telnyx), money(it.difference)]
        })
        .collect();
    align(&mut differences, &[1, 2, 3]);
    let mut parts: Vec<Vec<String>> = compared
        .told()
        .flat_map(|it| {
            PARTS.map(|part| vec![part.to_owned(), it.currency.clone(), money(it.part(part))])
        })
        .collect();
    align(&mut parts, &[2]);
    let mut lines: Vec<Vec<String>> = compared.periods.iter().flat_map(lines).collect();
    align(&mut lines, &[5, 6, 7, 8]);
    let days = compared.days;
    let mut text = vec![
        format!("Telnyx's charges summary from {} until {}", days.start_date, days.end_date),
        output::table_text(&["CURRENCY", "LEDGER", "TELNYX", "DIFFERENCE"], &differences),
        output::table_text(&["TELNYX", "CURRENCY", "AMOUNT"], &parts),
    ];
    if !lines.is_empty() {
        let headings =
            ["FROM", "UNTIL", "SERVICE", "PART", "CURRENCY", "QUANTITY", "AMOUNT", "MRC", "OTC"];
        text.push(output::table_text(&headings, &lines));
    }
    if let Some(numbers) = &compared.numbers {
        text.push(numbers_text(numbers));
    }
    text.push(BEYOND_EVENTS.to_owned());
    text.join("\n\n")
}

/// What Telnyx charges for each number of ours.
fn numbers_text(numbers: &[NumberCharge]) -> String {
    if numbers.is_empty() {
        return "Telnyx charges for no number.".to_owned();
    }
    let row = |it: &NumberCharge| {
        let days = [it.days.start_date, it.days.end_date].map(|day| day.to_string());
        let words = [&it.number, &it.charge_type, &it.service, &it.cost_type, &it.currency]
            .map(Clone::clone);
        days.into_iter().chain(words).chain([money(it.cost)]).collect()
    };
    let mut rows: Vec<Vec<String>> = numbers.iter().map(row).collect();
    align(&mut rows, &[7]);
    let headings = ["FROM", "UNTIL", "NUMBER", "CHARGE", "SERVICE", "TYPE", "CURRENCY", "COST"];
    output::table_text(&headings, &rows)
}

/// The lines of one period, then its adjustments.
fn lines(summary: &Summary) -> Vec<Vec<String>> {
    let line = |name: &str, part: &str, figures: [String; 4]| {
        let days = [summary.days.start_date, summary.days.end_date].map(|day| day.to_string());
        let words = [name.to_owned(), part.to_owned(), summary.currency.clone()];
        days.into_iter().chain(words).chain(figures).collect()
    };
    let none = || "-".to_owned();
    let services = summary.lines.iter().flat_map(|service| {
        service.parts.iter().map(|part| {
            let Part { part, quantity, amount, mrc, otc } = part;
            let quantity = quantity.map_or_else(none, |quantity| quantity.to_string());
            let figures = if *part == "total" {
                [quantity, money(*amount), none(), none()]
            } else {
                [quantity, none(), money(*mrc), otc.map_or_else(none, |otc| money(Some(otc)))]
            };
            line(&service.name, part, figures)
        })
    });
    let adjustments = summary.adjustments.iter().map(|it| {
        let name = format!("{} {}", it.event_date, it.description);
        line(name.trim(), "adjustment", [none(), money(it.amount), none(), none()])
    });
    services.chain(adjustments).collect()
}

fn money(amount: Option<Decimal>) -> String {
    amount.map_or_else(|| "unknown".to_owned(), |amount| tidy(amount).to_string())
}

/// Puts the decimal points of columns of figures one below the other; words stand at the left.
fn align(rows: &mut [Vec<String>], columns: &[usize]) {
    let is_figure = |cell: &&mut String| cell.contains(|c: char| c.is_ascii_digit());
    let point = |cell: &str| cell.find(['.', ' ']).unwrap_or(cell.len());
    for column in columns {
        let mut cells: Vec<&mut String> =
            rows.iter_mut().filter_map(|row| row.get_mut(*column)).filter(is_figure).collect();
        let width = cells.iter().map(|cell| point(cell)).max().unwrap_or_default();
        for cell in &mut cells {
            let blanks = width.saturating_sub(point(cell));
            cell.insert_str(0, &" ".repeat(blanks));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_points_stand_one_below_the_other() {
        let mut rows: Vec<Vec<String>> = ["0.0106", "12", "-", "-3.50", "unknown"]
            .map(|cell| vec![cell.to_owned(), cell.to_owned()])
            .into();
        align(&mut rows, &[1, 7]);
        let cells: Vec<&str> = rows.iter().map(|row| row[1].as_str()).collect();
        assert_eq!(cells, [" 0.0106", "12", "-", "-3.50", "unknown"]);
        assert!(rows.iter().all(|row| !row[0].starts_with(' ')));
    }
}
