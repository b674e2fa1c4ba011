//! Lists, page by page.
//!
//! Receives the first page's question. Promises page after page until the list is over, also where Telnyx does not say how
//! many there are, or has an endpoint without pages. Never asks again for a page that it has given; one that failed can be
//! asked for once more.

use serde_json::Value;

use super::client::{Query, unreadable};
use super::{ApiError, Client, Endpoint};

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// `data`.
    pub items: Vec<Value>,
    /// Its number, from 1.
    pub number: u32,
    /// How many there are, where Telnyx says; else one more than this when it is full. At least this one.
    pub pages: u32,
    /// How many items there are on all pages, where Telnyx says.
    pub results: Option<u64>,
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
}

impl<'a> Pages<'a> {
    pub(super) fn new(
        client: &'a Client,
        endpoint: &'a Endpoint,
        query: Query<'a>,
        size: u32,
    ) -> Self {
        Self { client, endpoint, query, size, next: Some(1), before: None }
    }

    /// The next page, which is not empty; `None` when there is none.
    pub async fn next(&mut self) -> Result<Option<Page>, ApiError> {
        let Some(number) = self.next else { return Ok(None) };
        let mut query = self.query.to_vec();
        query.push(("page[number]", number.to_string()));
        query.push(("page[size]", self.size.to_string()));
        let answer = self.client.get(self.endpoint, &query).await?;
        let (page, told) = page_of(answer, number, self.size)
            .ok_or_else(|| unreadable(self.endpoint, "there is no list under data"))?;
        // An endpoint without pages answers alike whatever page is asked for.
        let repeated = !told && self.before.as_ref() == Some(&page.items);
        if page.items.is_empty() || repeated {
            self.next = None;
            return Ok(None);
        }
        self.next = (number < page.pages).then(|| number + 1);
        self.before = (!told && self.next.is_some()).then(|| page.items.clone());
        Ok(Some(page))
    }

    /// Whether the page that was given last is the last one, as far as is known.
    pub fn is_over(&self) -> bool {
        self.next.is_none()
    }
}

/// The page that an answer holds, and whether Telnyx says how many there are; `None` when there is no list.
fn page_of(mut answer: Value, number: u32, size: u32) -> Option<(Page, bool)> {
    let meta = |key: &str| answer.get("meta").and_then(|meta| meta.get(key)?.as_u64());
    let (told, results) = (meta("total_pages"), meta("total_results"));
    let Value::Array(items) = answer.get_mut("data")?.take() else { return None };
    let full = usize::try_from(size).is_ok_and(|size| items.len() >= size);
    let pages = match told {
        Some(pages) => u32::try_from(pages).unwrap_or(u32::MAX).max(number),
        None if full => number.saturating_add(1),
        None => number,
    };
    Some((Page { items, number, pages, results }, told.is_some()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_knows_how_many_there_are_or_guesses_by_its_size() {
        let page = |answer: Value, number, size| {
            let (page, told) = page_of(answer, number, size)?;
            Some((page.items.len(), page.pages, page.results, told))
        };
        let meta = json!({"page_number": 1, "total_pages": 3, "total_results": 5});
        for (answer, number, expected) in [
            (json!({"data": [1, 2], "meta": meta}), 1, Some((2, 3, Some(5), true))),
            (json!({"data": [1], "meta": meta}), 7, Some((1, 7, Some(5), true))),
            (json!({"data": [], "meta": {"total_pages": 0}}), 1, Some((0, 1, None, true))),
            (
                json!({"data": [], "meta": {"total_pages": 1_u64 << 40}}),
                1,
                Some((0, u32::MAX, None, true)),
            ),
            (json!({"data": [1, 2]}), 1, Some((2, 2, None, false))),
            (json!({"data": [1]}), 2, Some((1, 2, None, false))),
            (json!({"data": [1], "meta": {"total_pages": "3"}}), 1, Some((1, 1, None, false))),
            (json!({"data": [1], "meta": []}), 1, Some((1, 1, None, false))),
            (json!({"data": {}}), 1, None),
            (json!({"data": null}), 1, None),
            (json!({}), 1, None),
            (json!([]), 1, None),
            (Value::Null, 1, None),
        ] {
            assert_eq!(page(answer.clone(), number, 2), expected, "{answer}");
        }
    }
}
