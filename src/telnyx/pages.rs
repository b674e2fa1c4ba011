//! Lists, page by page.
//!
//! Receives the first page's question. Promises page after page until the list is over, also where Telnyx does not say how
//! many there are, or has an endpoint without pages, and to say whether that was the end: numbers of pages and results are
//! read as numbers and as text, and where they do not agree with what came, the list is a part. Never asks again for a page
//! that it has given; one that failed can be asked for once more.

use serde_json::Value;

use super::endpoint::Query;
use super::error::unreadable;
use super::{ApiError, Client, Endpoint};

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// `data`.
    pub items: Vec<Value>,
    /// Its number, from 1.
    pub number: u32,
    /// How many there are, where Telnyx says; else one more than this when more may come. At least this one.
    pub pages: u32,
    /// How many items there are on all pages, where Telnyx says.
    pub results: Option<u64>,
}

/// How a list ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListEnd {
    /// These are all.
    Whole,
    /// There are more than were asked for.
    Cut,
    /// Telnyx gave no more, and does not say clearly that these are all, or says that there are more.
    Partial,
}

impl ListEnd {
    /// Whether these are all.
    pub fn is_whole(self) -> bool {
        self == Self::Whole
    }
}

/// The pages of a list that are yet to come.
///
/// A list that changes while it is read may give an item twice, or not at all. Where Telnyx does not say how many pages
/// there are, a full page makes us ask for one more, until one repeats the page before it. An empty page is the end,
/// whatever Telnyx says.
#[derive(Debug)]
pub struct Pages<'a> {
    client: &'a Client,
    endpoint: &'a Endpoint,
    query: Query<'a>,
    size: u32,
    /// The next page's number; `None` once the list is over.
    next: Option<u32>,
    /// What the page before held, where Telnyx does not say how many there are.
    before: Option<Vec<Value>>,
    /// Items that were given.
    items: u64,
    /// What the last answer said of all pages.
    told: PageFacts,
}

impl Client {
    /// A list, to be read page by page. `size` is bound by the endpoint: 250 items in general.
    pub fn pages<'a>(&'a self, endpoint: &'a Endpoint, query: Query<'a>, size: u32) -> Pages<'a> {
        Pages::new(self, endpoint, query, size)
    }

    /// All items of a list, `pages_max` pages at most, and how it ended; `progress` is told of each page as it
    /// comes.
    pub async fn list(
        &self,
        endpoint: &Endpoint,
        query: Query<'_>,
        size: u32,
        pages_max: u32,
        mut progress: impl FnMut(&Page),
    ) -> Result<(Vec<Value>, ListEnd), ApiError> {
        let mut items = Vec::new();
        let mut pages = self.pages(endpoint, query, size);
        while let Some(mut page) = pages.next().await? {
            progress(&page);
            items.append(&mut page.items);
            if page.number >= pages_max && !pages.is_over() {
                break;
            }
        }
        Ok((items, pages.end()))
    }
}

impl<'a> Pages<'a> {
    pub(super) fn new(
        client: &'a Client,
        endpoint: &'a Endpoint,
        query: Query<'a>,
        size: u32,
    ) -> Self {
        let told = PageFacts::default();
        Self { client, endpoint, query, size, next: Some(1), before: None, items: 0, told }
    }

    /// The next page, which is not empty; `None` when there is none.
    pub async fn next(&mut self) -> Result<Option<Page>, ApiError> {
        let Some(number) = self.next else { return Ok(None) };
        let mut query = self.query.to_vec();
        query.push(("page[number]", number.to_string()));
        query.push(("page[size]", self.size.to_string()));
        let mut answer = self.client.get(self.endpoint, &query).await?;
        let told = PageFacts::read(&answer);
        let items = list_of(&mut answer)
            .ok_or_else(|| unreadable(self.endpoint, "there is no list under data"))?;
        // An endpoint without pages answers alike whatever page is asked for.
        let repeated = told.pages.is_none() && self.before.as_ref() == Some(&items);
        if !repeated {
            self.told = told;
        }
        if items.is_empty() || repeated {
            self.next = None;
            return Ok(None);
        }
        self.items += items.len() as u64;
        let pages = told.pages_from(number, self.items, items.len(), self.size);
        self.next = (number < pages).then(|| number + 1);
        let may_repeat = told.pages.is_none() && self.next.is_some();
        self.before = may_repeat.then(|| items.clone());
        Ok(Some(Page { items, number, pages, results: told.results }))
    }

    /// Whether the page that was given last is the last one, as far as is known.
    pub fn is_over(&self) -> bool {
        self.next.is_none()
    }

    /// How the list ended, so far as it was read.
    pub fn end(&self) -> ListEnd {
        match () {
            () if !self.is_over() => ListEnd::Cut,
            () if self.told.agrees_with(self.items) => ListEnd::Whole,
            () => ListEnd::Partial,
        }
    }
}

/// What `meta` says of all pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct PageFacts {
    pages: Option<u64>,
    results: Option<u64>,
    /// Items of a page at most, which may be fewer than were asked for.
    size: Option<u64>,
    has_more: bool,
    /// Something is said of the number of pages, and cannot be read.
    unclear: bool,
}

impl PageFacts {
    fn read(answer: &Value) -> Self {
        let meta = |key: &str| answer.get("meta").and_then(|meta| meta.get(key));
        let pages = meta("total_pages").filter(|pages| !pages.is_null());
        Self {
            pages: pages.and_then(count),
            results: meta("total_results").and_then(count),
            size: meta("page_size").and_then(count).filter(|size| *size > 0),
            has_more: meta("has_more").and_then(Value::as_bool).unwrap_or_default(),
            unclear: pages.is_some_and(|pages| count(pages).is_none()),
        }
    }

    /// How many pages there are, as far as is known after one of so many items, `read` until then.
    fn pages_from(self, number: u32, read: u64, items: usize, asked: u32) -> u32 {
        let items = items as u64;
        let full = items >= self.size.unwrap_or(u64::MAX).min(asked.into());
        let more = full || self.has_more || self.results.is_some_and(|results| read < results);
        match self.pages {
            Some(pages) => u32::try_from(pages).unwrap_or(u32::MAX).max(number),
            None if more => number.saturating_add(1),
            None => number,
        }
    }

    /// Whether a list that is over after so many items was read to its end.
    fn agrees_with(self, read: u64) -> bool {
        match self.results {
            Some(results) => read >= results && !self.has_more,
            None => !self.unclear && !self.has_more,
        }
    }
}

/// A number, also where it is written as text.
fn count(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_u64(),
    }
}

fn list_of(answer: &mut Value) -> Option<Vec<Value>> {
    match answer.get_mut("data")?.take() {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_knows_how_many_there_are_or_guesses_by_its_size() {
        let pages = |mut answer: Value, number, read| {
            let told = PageFacts::read(&answer);
            let items = list_of(&mut answer)?;
            Some((told.pages_from(number, read, items.len(), 2), told.agrees_with(read)))
        };
        let meta = json!({"page_number": 1, "total_pages": 3, "total_results": 5});
        let text = json!({"page_number": "1", "total_pages": "3", "total_results": " 5 "});
        for (answer, number, read, expected) in [
            (json!({"data": [1, 2], "meta": meta}), 1, 2, Some((3, false))),
            (json!({"data": [1, 2], "meta": text}), 1, 2, Some((3, false))),
            (json!({"data": [1], "meta": text}), 3, 5, Some((3, true))),
            (json!({"data": [1], "meta": meta}), 7, 9, Some((7, true))),
            (json!({"data": [], "meta": {"total_pages": 0}}), 1, 0, Some((1, true))),
            (
                json!({"data": [], "meta": {"total_pages": 1_u64 << 40}}),
                1,
                0,
                Some((u32::MAX, true)),
            ),
            (json!({"data": [1, 2]}), 1, 2, Some((2, true))),
            (json!({"data": [1]}), 2, 3, Some((2, true))),
            // Fewer items on a page than were asked for.
            (json!({"data": [1], "meta": {"page_size": "1"}}), 1, 1, Some((2, true))),
            (json!({"data": [1], "meta": {"total_results": "45"}}), 1, 1, Some((2, false))),
            (json!({"data": [1], "meta": {"has_more": true}}), 1, 1, Some((2, false))),
            // It is said, and not clear.
            (json!({"data": [1], "meta": {"total_pages": "many"}}), 1, 1, Some((1, false))),
            (json!({"data": [1], "meta": {"total_pages": 2.5}}), 1, 1, Some((1, false))),
            (
                json!({"data": [1], "meta": {"total_pages": "many", "total_results": 1}}),
                1,
                1,
                Some((1, true)),
            ),
            (json!({"data": [1], "meta": {"total_pages": null}}), 1, 1, Some((1, true))),
            (json!({"data": [1], "meta": []}), 1, 1, Some((1, true))),
            (json!({"data": {}}), 1, 0, None),
            (json!({"data": null}), 1, 0, None),
            (json!({}), 1, 0, None),
            (json!([]), 1, 0, None),
            (Value::Null, 1, 0, None),
        ] {
            assert_eq!(pages(answer.clone(), number, read), expected, "{answer}");
        }
    }
}
