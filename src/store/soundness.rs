//! Whether what is stored is sound: what is looked at, and what that says.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::StoreError;

/// What was charged for one product of one account in one currency.
pub(super) type BookKey = (String, String, String);

/// The ledger beside the totals, as of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// By account, product and currency: the sum of the ledger, and the total.
    pub(super) sums: BTreeMap<BookKey, (Decimal, Decimal)>,
    /// Whether nothing was removed yet by the retention: the ledger holds every charge that was ever booked.
    pub(super) is_whole: bool,
}

/// One line of [`Books`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    /// The account.
    pub account: String,
    /// Product, as [`crate::event::product`] says.
    pub product: String,
    /// ISO 4217 code, or `unknown`.
    pub currency: String,
    /// Sum of the ledger.
    pub ledger: Decimal,
    /// Sum of all that was ever booked.
    pub total: Decimal,
    /// What the two say of each other.
    pub verdict: Verdict,
}

/// What a ledger and a total say of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The same, to the last digit.
    Agrees,
    /// The ledger is less by charges that the retention has removed.
    Removed,
    /// Charges moved on from `unknown` when their currency became known, and are counted there.
    Moved,
    /// There is no reason for the difference.
    Differs,
}

/// What the rows of a store belong to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    /// Rules, as `group/alert`: of series and of firing alerts.
    pub rules: BTreeSet<String>,
    /// Integrations: of open deliveries and of the notification log.
    pub integrations: BTreeSet<String>,
}

/// The currency of charges that name none.
const UNKNOWN: &str = "unknown";

impl Books {
    /// Adds to a sum of the ledger; the error is one line for people.
    pub(super) fn add_charge(&mut self, key: BookKey, amount: &str) -> Result<(), StoreError> {
        let sum = &mut self.sums.entry(key).or_default().0;
        *sum = plus(*sum, amount)?;
        Ok(())
    }

    /// Sets a total by its row.
    pub(super) fn add_total(&mut self, value: &[u8]) -> Result<(), StoreError> {
        let row: crate::rules::SpendRow = serde_json::from_slice(value)
            .map_err(|error| StoreError::Unstorable(format!("a total cannot be read: {error}")))?;
        let net = row.added.checked_sub(row.corrected).ok_or_else(too_much)?;
        self.sums.entry((row.account, row.product, row.currency)).or_default().1 = net;
        Ok(())
    }

    /// Each sum with its verdict.
    pub fn books(&self) -> Vec<Book> {
        let book = |(key, (ledger, total)): (&BookKey, &(Decimal, Decimal))| {
            let (account, product, currency) = key.clone();
            let (ledger, total) = (*ledger, *total);
            Book {
                verdict: self.verdict(key, ledger, total),
                account,
                product,
                currency,
                ledger,
                total,
            }
        };
        self.sums.iter().map(book).collect()
    }

    fn verdict(
        &self,
        (account, product, currency): &BookKey,
        ledger: Decimal,
        total: Decimal,
    ) -> Verdict {
        let missing = total - ledger;
        let of_product = self.sums.iter().filter(|((a, p, _), _)| a == account && p == product);
        let all = of_product.map(|((_, _, currency), (ledger, total))| (currency, total - ledger));
        let (unknown, known): (Vec<_>, Vec<_>) = all.partition(|(name, _)| *name == UNKNOWN);
        // A charge that was counted as of an unknown currency is not counted again once it is known: by as much as the ledger
        // has more there, it has less here.
        let left: Decimal = unknown.first().map_or(Decimal::ZERO, |(_, missing)| *missing);
        let mut came =
            known.iter().map(|(_, missing)| -*missing).filter(|more| *more > Decimal::ZERO);
        match missing.cmp(&Decimal::ZERO) {
            Ordering::Equal => Verdict::Agrees,
            Ordering::Less if currency == UNKNOWN => Verdict::Differs,
            Ordering::Less if -missing == left || (!self.is_whole && -missing < left) => {
                Verdict::Moved
            }
            Ordering::Less => Verdict::Differs,
            Ordering::Greater
                if currency == UNKNOWN && came.any(|more| more == missing || !self.is_whole) =>
            {
                Verdict::Moved
            }
            Ordering::Greater if self.is_whole => Verdict::Differs,
            Ordering::Greater => Verdict::Removed,
        }
    }
}

fn plus(sum: Decimal, amount: &str) -> Result<Decimal, StoreError> {
    let amount: Decimal = amount.parse().map_err(|_no_number| {
        StoreError::Unstorable("the ledger holds an amount that is no number".to_owned())
    })?;
    sum.checked_add(amount).ok_or_else(too_much)
}

fn too_much() -> StoreError {
    StoreError::Unstorable("the ledger holds more than can be summed up".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books(rows: &[(&str, &str, &str)], is_whole: bool) -> Vec<Verdict> {
        let mut books = Books { is_whole, ..Books::default() };
        for (currency, ledger, total) in rows {
            let key = ("a".to_owned(), "voice".to_owned(), (*currency).to_owned());
            let parse = |text: &str| text.parse().expect("decimal");
            books.sums.insert(key, (parse(ledger), parse(total)));
        }
        books.books().into_iter().map(|book| book.verdict).collect()
    }

    #[test]
    fn ledger_and_totals_agree_to_the_last_digit_or_there_is_a_reason() {
        use Verdict::{Agrees, Differs, Moved, Removed};
        for (rows, is_whole, want) in [
            (&[("USD", "0.30", "0.3")][..], true, &[Agrees][..]),
            (&[("USD", "0.30", "0.3000000000000000000000000001")], true, &[Differs]),
            (&[("USD", "0.2", "0.3")], true, &[Differs]),
            (&[("USD", "0.2", "0.3")], false, &[Removed]),
            (&[("USD", "0.4", "0.3")], false, &[Differs]),
            (&[("USD", "0.4", "0.3"), ("unknown", "0.1", "0.2")], true, &[Moved, Moved]),
            (&[("USD", "0.4", "0.3"), ("unknown", "0.1", "0.25")], true, &[Differs, Differs]),
            (&[("USD", "0.4", "0.3"), ("unknown", "0.1", "0.25")], false, &[Moved, Moved]),
            (
                &[("EUR", "1", "1"), ("USD", "2", "1"), ("unknown", "0", "0")],
                true,
                &[Agrees, Differs, Agrees],
            ),
        ] {
            assert_eq!(books(rows, is_whole), want, "{rows:?} {is_whole}");
        }
    }
}
