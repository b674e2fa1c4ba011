//! The currency of each account's balance, as last read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Reading;

/// In which currency each account is charged, by its last balance reading. Cheap to clone and to ask; all clones know
/// the same. One entry for each account that has a reading.
#[derive(Debug, Clone, Default)]
pub struct Currencies(Arc<ArcSwap<BTreeMap<String, Arc<str>>>>);

impl Currencies {
    /// The account's currency, an ISO 4217 code; `None` when no reading has named it.
    pub fn of(&self, account: &str) -> Option<Arc<str>> {
        self.0.load().get(account).cloned()
    }

    /// In which currency amounts are that name none: the one that is configured for the account, else that of its last
    /// reading.
    pub fn or_read<'c>(&self, configured: Option<&'c str>, account: &str) -> Option<Cow<'c, str>> {
        match configured {
            Some(currency) => Some(Cow::Borrowed(currency)),
            None => self.of(account).map(|currency| Cow::Owned(String::from(&*currency))),
        }
    }

    /// Takes what readings say.
    pub(super) fn learn<'r>(&self, readings: impl IntoIterator<Item = &'r Reading>) {
        for reading in readings {
            self.learn_one(reading);
        }
    }

    /// A reading that names no currency changes nothing.
    fn learn_one(&self, reading: &Reading) {
        let Some(currency) = reading.currency.as_deref() else { return };
        if self.of(&reading.account).is_some_and(|known| *known == *currency) {
            return;
        }
        self.0.rcu(|known| {
            let mut known = BTreeMap::clone(known);
            known.insert(reading.account.clone(), currency.into());
            known
        });
    }
}
